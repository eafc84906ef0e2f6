"""Tests of the shipped Role. It is enough, each of its rules is needed, and the account may do no more."""

import time
from collections.abc import Iterator

import pytest
import yaml

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.errors import ClusterRefused
from bindery.domain.launch import Stage
from bindery.domain.sessions import Liveness
from tests.cluster.changes import rules
from tests.cluster.on_cluster import OnCluster
from tests.cluster.shipped import ROOT
from tests.cluster.trials import Trials
from tests.serving.lab import TOKEN, until
from tests.serving.names import localhost_names

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

PATIENCE = 30.0
ACCOUNT = ROOT / "infra" / "kubernetes" / "base" / "account.yaml"
RULES = next(each for each in yaml.safe_load_all(ACCOUNT.read_text()) if each["kind"] == "Role")["rules"]
OTHERS = [
    *((verb, "secrets") for verb in ("get", "list", "watch", "update", "patch", "delete")),
    *((verb, "pods") for verb in ("get", "update", "patch", "deletecollection")),
    *((verb, kind) for verb in ("get", "create") for kind in ("pods/exec", "pods/attach", "pods/portforward")),
    *((verb, "pods/log") for verb in ("get",)),
    *((verb, "deployments.apps") for verb in ("create", "list", "delete")),
    *((verb, "httproutes.gateway.networking.k8s.io") for verb in ("get", "list", "delete", "update")),
    *(
        ("create", kind)
        for kind in ("configmaps", "serviceaccounts", "serviceaccounts/token", "persistentvolumeclaims")
    ),
    *(("create", kind) for kind in ("rolebindings.rbac.authorization.k8s.io", "jobs.batch", "pods/eviction")),
    *(
        ("delete", kind)
        for kind in ("networkpolicies.networking.k8s.io", "resourcequotas", "limitranges", "namespaces")
    ),
    *(("impersonate", kind) for kind in ("users", "groups", "serviceaccounts")),
]


@pytest.fixture(scope="module")
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    with trials.launcher("mute") as launcher:
        yield launcher
    trials.shipped.remove_sessions()


def use(launcher: KubernetesSessions, trials: Trials) -> str:
    """Do each kind of action on the cluster, and return the refusal. An empty text means that no action was refused."""
    if missing := launcher.missing():
        return missing
    order = trials.order()
    try:
        launcher.start(order)
        assert launcher.wait(order.id, TOKEN, 0.3).liveness is Liveness.STARTING
        assert order.id in {each.id for each in launcher.list_sessions()}
        launcher.stop(order.id)
    except ClusterRefused as refused:
        return str(refused.facts["why"])
    assert trials.shipped.pods(order.id) == []
    return ""


def test_the_shipped_role_is_enough(launcher: KubernetesSessions, trials: Trials) -> None:
    assert use(launcher, trials) == ""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['verbs'][0]} {rule['resources'][0]}")
def test_no_rule_of_the_role_can_be_removed(
    launcher: KubernetesSessions, trials: Trials, rule: dict[str, list[str]]
) -> None:
    with rules(trials.shipped, [each for each in RULES if each != rule]):
        end = time.monotonic() + PATIENCE
        while not (refused := use(launcher, trials)):  # the API server takes a moment to know
            assert time.monotonic() < end, "nothing needs it"
    assert f"Bindery's account may not {rule['verbs'][0]} {rule['resources'][0]}" in refused


def test_a_launch_retries_while_the_cluster_does_not_yet_grant_its_rights(trials: Trials) -> None:
    """An API server in its first moments does not have the rights yet. The launch is tried again."""
    fewer = [rule for rule in RULES if (rule["verbs"], rule["resources"]) != (["create"], ["services"])]
    assert len(fewer) == len(RULES) - 1
    with trials.launcher() as launcher:
        world = OnCluster(launcher, trials.image)
        launch = world.open()
        with rules(trials.shipped, fewer):
            until(lambda: not may(trials, "create", "services"))
            while world.launch(launch).trouble is None:
                world.step()
        until(lambda: may(trials, "create", "services"))
        world.pump()
    result = world.launch(launch)
    assert (result.stage, result.retries) == (Stage.READY, 1)
    assert result.trouble is not None
    assert result.trouble.kind == "ClusterRefused"


def test_the_account_has_no_other_rights(trials: Trials) -> None:
    assert [what for what in OTHERS if may(trials, *what)] == []


@pytest.mark.parametrize("namespace", ["default", "kube-system", "bindery"])
def test_the_account_has_no_rights_in_other_namespaces(trials: Trials, namespace: str) -> None:
    everything = [(verb, kind) for rule in RULES for verb in rule["verbs"] for kind in rule["resources"]]
    assert [what for what in everything if may(trials, *what, namespace)] == []


def may(trials: Trials, verb: str, kind: str, namespace: str = "bindery-sessions") -> bool:
    """Return True if the API server grants this right when the account itself asks."""
    cluster, shipped = trials.shipped.cluster, trials.shipped
    resource, _, below = kind.partition("/")
    arguments = ("auth", "can-i", verb, resource, f"--subresource={below}", f"--namespace={namespace}")
    try:
        return cluster.kubectl(*arguments, f"--kubeconfig={shipped.kubeconfig}").strip() == "yes"
    except RuntimeError:  # its exit status says no, too
        return False


def test_the_account_cannot_read_a_secret_that_it_created(launcher: KubernetesSessions, trials: Trials) -> None:
    order, shipped = trials.order(), trials.shipped
    launcher.start(order)
    (secret,) = [each for each in shipped.objects(order.id) if each.startswith("secret/")]
    with pytest.raises(RuntimeError, match="cannot get resource"):
        shipped.kubectl("get", secret, "-o", "yaml", f"--kubeconfig={shipped.kubeconfig}")
    launcher.stop(order.id)
