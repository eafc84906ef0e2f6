"""Tests of the connections that the shipped NetworkPolicies allow. Enforcement by a cluster's plug-in is not tested
here.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest

from bindery.adapters.http.address_rules import GLOBAL_6, REFUSED_4, REFUSED_6
from tests.serving.manifests import Body, Manifests, selects

SESSIONS = "bindery-sessions"
SESSION = {"app.kubernetes.io/managed-by": "bindery", "app.kubernetes.io/component": "session"}


def policies(shipped: Manifests, labels: Mapping[str, str], kind: str) -> list[Body]:
    """Return every rule of kind `Ingress` or `Egress` that holds for Pods with these labels."""
    specs = [policy["spec"] for policy in shipped.all("NetworkPolicy")]
    chosen = [spec for spec in specs if selects(spec["podSelector"], labels) and kind in spec["policyTypes"]]
    assert chosen, "Pods that no policy means may do everything"
    return [rule for spec in chosen for rule in spec.get(kind.lower(), [])]


def reaches(shipped: Manifests, address: str) -> bool:
    """Return True if a session may send to the address."""
    blocks = [
        peer["ipBlock"]
        for rule in policies(shipped, SESSION, "Egress")
        for peer in rule.get("to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}])
        if "ipBlock" in peer
    ]
    ip = ip_address(address)
    return any(
        ip in ip_network(block["cidr"]) and not any(ip in ip_network(net) for net in block.get("except", []))
        for block in blocks
    )


def test_all_other_traffic_is_denied(shipped: Manifests) -> None:
    spec = shipped.one("NetworkPolicy", "nothing-else")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert {policy["metadata"]["namespace"] for policy in shipped.all("NetworkPolicy")} == {SESSIONS}


def test_only_the_gateway_reaches_a_session_and_only_its_server_port(shipped: Manifests) -> None:
    (rule,) = policies(shipped, SESSION, "Ingress")
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8888}]


def test_a_session_can_query_the_dns_server_of_the_cluster_only(shipped: Manifests) -> None:
    (rule,) = policies_of(shipped, "out-to-names")
    (peer,) = rule["to"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    assert peer["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert [(port["protocol"], port["port"]) for port in rule["ports"]] == [("UDP", 53), ("TCP", 53)]


def test_every_egress_rule_of_a_session_names_its_destinations(shipped: Manifests) -> None:
    for rule in policies(shipped, SESSION, "Egress"):
        assert rule["to"]
        assert all(peer.keys() in ({"ipBlock"}, {"namespaceSelector", "podSelector"}) for peer in rule["to"])


INSIDE = "10.0.0.1 10.96.0.1 172.16.3.4 192.168.1.1 127.0.0.1 0.0.0.0 169.254.169.254 169.254.20.10 100.64.0.1 100.100.100.200"
ODD = "168.63.129.16 224.0.0.1 255.255.255.255 198.18.0.1 192.0.0.192"
SIX = "::1 :: fe80::1 fc00::1 fd00:ec2::254 ff02::1 fec0::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: 2001::1 2001:db8::1"


@pytest.mark.parametrize("address", f"{INSIDE} {ODD} {SIX}".split())
def test_a_session_cannot_reach_non_public_addresses(shipped: Manifests, address: str) -> None:
    assert not reaches(shipped, address)


@pytest.mark.parametrize(
    "address", ["140.82.121.4", "8.8.8.8", "151.101.0.223", "2606:50c0:8000::154", "2a04:4e42::223"]
)
def test_a_session_reaches_the_internet(shipped: Manifests, address: str) -> None:
    assert reaches(shipped, address)


def test_a_session_reaches_the_internet_on_the_ports_of_mybinder_only(shipped: Manifests) -> None:
    (rule,) = policies_of(shipped, "out-to-the-internet")
    assert {port["protocol"] for port in rule["ports"]} == {"TCP"}
    assert sorted(port["port"] for port in rule["ports"]) == [80, 443, 873, 1094, 9418]
    assert not any("endPort" in port for port in rule["ports"])


def test_sessions_cannot_reach_the_networks_that_the_guard_refuses(shipped: Manifests) -> None:
    (rule,) = policies_of(shipped, "out-to-the-internet")
    four, six = (peer["ipBlock"] for peer in rule["to"])
    assert four == {"cidr": "0.0.0.0/0", "except": [str(net) for net in REFUSED_4]}
    assert six == {"cidr": str(GLOBAL_6), "except": [str(net) for net in REFUSED_6]}


def policies_of(shipped: Manifests, name: str) -> list[Body]:
    rules: list[Body] = shipped.one("NetworkPolicy", name)["spec"]["egress"]
    return rules


def test_the_ended_page_has_the_ingress_of_a_session_and_no_egress(shipped: Manifests) -> None:
    pod = shipped.one("Deployment", "ended")["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert policies(shipped, labels, "Ingress") == policies(shipped, SESSION, "Ingress")
    assert policies(shipped, labels, "Egress") == []
    assert 8888 in [port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]]
