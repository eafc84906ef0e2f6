"""Tests that the shipped manifests, read as they are, keep their promises."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bindery.domain.kubernetes_quantities import amount
from bindery.settings import Settings
from tests.serving.manifests import FOLDER, Body, Manifests, find_kubectl, rendered, selects

SESSIONS = "bindery-sessions"
SESSION = {"app.kubernetes.io/managed-by": "bindery", "app.kubernetes.io/component": "session"}
FOLDERS = {"": FOLDER, "mybinder": FOLDER, "egi": FOLDER / "egi"}


@pytest.fixture(scope="module")
def ended(shipped: Manifests) -> Body:
    """Provide the Pod of the page for sessions that are over."""
    pod: Body = shipped.one("Deployment", "ended")["spec"]["template"]
    return pod


def test_both_namespaces_admit_restricted_pods_only(shipped: Manifests) -> None:
    namespaces = {each["metadata"]["name"]: each["metadata"]["labels"] for each in shipped.all("Namespace")}
    assert namespaces.keys() == {SESSIONS, "bindery"}
    for labels in namespaces.values():
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_every_object_names_its_namespace(shipped: Manifests) -> None:
    where = {each["metadata"].get("namespace") for each in shipped.objects if each["kind"] != "Namespace"}
    assert where == {SESSIONS, "bindery"}


def test_the_account_has_rights_in_the_sessions_namespace_only(shipped: Manifests) -> None:
    kinds = {each["kind"] for each in shipped.objects}
    assert not {kind for kind in kinds if kind.startswith("Cluster")}
    (role,), (binding,) = shipped.all("Role"), shipped.all("RoleBinding")
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == SESSIONS
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "bindery", "namespace": "bindery"}]


def test_the_service_account_is_outside_the_sessions_namespace(shipped: Manifests) -> None:
    assert [each["metadata"]["namespace"] for each in shipped.all("ServiceAccount")] == ["bindery"]


def test_each_rule_of_the_role_has_one_verb_and_no_wildcard(shipped: Manifests) -> None:
    rules = shipped.one("Role", "bindery")["rules"]
    assert "*" not in str(rules)
    rights = []
    for rule in rules:
        (verb,), (resource,), (_group,) = rule["verbs"], rule["resources"], rule["apiGroups"]
        rights.append((resource, verb))
    assert len(rights) == len(set(rights))
    assert [verb for resource, verb in rights if resource == "secrets"] == ["create"]
    assert {verb for _, verb in rights} == {"create", "list", "watch", "delete", "get"}
    assert {resource for resource, verb in rights if verb == "get"} == {"namespaces", "gateways"}
    assert not [resource for resource, _ in rights if "/" in resource], "neither exec nor logs nor proxy"


def test_the_pod_of_the_ended_page_does_not_count_as_a_session(shipped: Manifests, ended: Body) -> None:
    labels, service = ended["metadata"]["labels"], {"matchLabels": shipped.one("Service", "ended")["spec"]["selector"]}
    assert selects(service, labels)
    assert not selects(service, SESSION)
    assert not selects({"matchLabels": SESSION}, labels)
    assert "app.kubernetes.io/managed-by" not in str(shipped.objects)


def test_the_pod_of_the_ended_page_satisfies_pod_security(ended: Body) -> None:
    spec, (container,) = ended["spec"], ended["spec"]["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert re.search(r":\d+\.\d+\.\d+", container["image"])


def test_the_route_of_the_ended_page_matches_all_hosts_without_a_session(shipped: Manifests) -> None:
    route = shipped.one("HTTPRoute", "ended")["spec"]
    assert route["parentRefs"] == [{"name": "sessions"}]
    assert "hostnames" not in route
    assert route["rules"] == [{"backendRefs": [{"name": "ended", "port": 8888}]}]


def test_the_gateway_accepts_routes_of_its_own_namespace_only(shipped: Manifests) -> None:
    gateway = shipped.one("Gateway", "sessions")
    assert gateway["metadata"]["namespace"] == SESSIONS
    (listener,) = gateway["spec"]["listeners"]
    assert listener["allowedRoutes"] == {"namespaces": {"from": "Same"}}
    assert listener["hostname"] == "*.sessions.localhost"


@pytest.mark.parametrize("preset", FOLDERS)
def test_the_namespace_has_room_for_all_sessions_of_a_preset(preset: str) -> None:
    shipped, settings = Manifests(FOLDERS[preset]), Settings.read({"BINDERY_PRESET": preset})
    requests = {
        "memory": settings.memory_guarantee,
        "cpu": settings.cpu_guarantee,
        "ephemeral-storage": settings.storage_guarantee,
    }
    most = {"memory": settings.memory_limit, "cpu": settings.cpu_limit, "ephemeral-storage": settings.storage_limit}
    container, pod = shipped.one("LimitRange", "sessions")["spec"]["limits"]
    assert (container["type"], pod["type"]) == ("Container", "Pod")
    assert numbers(container["max"]) == numbers(pod["max"]) == numbers(container["default"]) == numbers(most)
    assert numbers(container["defaultRequest"]) == numbers(requests)

    hard = shipped.one("ResourceQuota", "sessions")["spec"]["hard"]
    page = shipped.one("Deployment", "ended")["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert settings.quota_total is not None
    sessions = settings.quota_total + settings.quota_total // 10
    for name in ("pods", "services", "secrets"):
        assert int(hard[name]) >= sessions + 2
    for name, each in requests.items():
        needed = sessions * amount(each) + 2 * amount(page[name])
        assert needed <= amount(hard[f"requests.{name}"]) <= 2 * needed, name


def numbers(quantities: Mapping[str, str]) -> dict[str, object]:
    return {name: amount(quantity) for name, quantity in quantities.items()}


def test_sessions_can_have_no_volume_claims_node_ports_or_load_balancers(shipped: Manifests) -> None:
    hard = shipped.one("ResourceQuota", "sessions")["spec"]["hard"]
    for name in ("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"):
        assert hard[name] == "0"


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "egi"], ids=["shipped", "egi"])
def test_kubectl_renders_the_same_objects(folder: Path) -> None:
    assert by_kind_and_name(rendered(kubectl(), folder)) == by_kind_and_name(Manifests(folder).objects)


@pytest.mark.parametrize(
    ("page", "shown", "base", "domain", "gone"),
    [
        (
            FOLDER / "README.md",
            "path/or/git/address/of/infra/kubernetes",
            FOLDER,
            "*.sessions.example.org",
            {"traefik'"},
        ),
        (
            FOLDER.parent / "docs" / "aws.md",
            "../bindery/infra/kubernetes/eks",
            FOLDER / "eks",
            "*.sessions.example.net",
            set(),
        ),
    ],
    ids=["kubernetes", "aws"],
)
def test_the_overlay_of_an_operators_page_changes_all_that_it_describes(
    tmp_path: Path, page: Path, shown: str, base: Path, domain: str, gone: set[str]
) -> None:
    """The overlay changes the domain, the gateway's namespace and the address behind the link, at each of their
    places.
    """
    (margin, overlay), *_ = re.findall(r"^( *)```yaml\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    overlay = re.sub(rf"^{margin}", "", overlay, flags=re.MULTILINE)
    assert f"resources: [{shown}]" in overlay
    there = Path("../" * len(tmp_path.resolve().parts[1:])) / base.relative_to("/")
    (tmp_path / "kustomization.yaml").write_text(overlay.replace(shown, str(there)))
    objects = str(rendered(kubectl(), tmp_path))
    for before in {"sessions.localhost", "http://localhost:8585"} | gone:
        assert before in str(Manifests().objects)
        assert before not in objects, before
    for after in (domain, "https://bindery.example.org", "sessions-certificate"):
        assert after in objects, after


def kubectl() -> str:
    path = find_kubectl()
    if path is None:
        pytest.skip("no kubectl on PATH")
    return path


def by_kind_and_name(objects: list[Body]) -> dict[tuple[str, str], Body]:
    """Return the objects by kind and name, without the labels and the hashes in generated names that kustomize adds."""
    bodies = {}
    for each in objects:
        name = re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"])
        body = {key: value for key, value in each.items() if key != "metadata"}
        if each["kind"] == "Deployment":
            sources = body["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
            for source in sources:
                source["configMap"]["name"] = re.sub(r"-[a-z0-9]{10}$", "", source["configMap"]["name"])
        bodies[each["kind"], name] = body
    return bodies
