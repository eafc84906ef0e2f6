"""The account that the shipped manifests make may do what a session takes, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest

from bindery.adapters.sessions.kubernetes import KubernetesSessions
from bindery.domain.errors import SessionRefused
from bindery.domain.sessions import Liveness
from tests.cluster.changes import rules
from tests.cluster.shipped import NAMESPACE, Shipped
from tests.serving.lab import TOKEN, order_of, until
from tests.serving.manifests import Manifests

RULES = Manifests().one("Role", "bindery")["rules"]
ACCOUNT = "--as=system:serviceaccount:bindery:bindery"


@pytest.fixture
def launcher(shipped: Shipped) -> Iterator[KubernetesSessions]:
    with shipped.sessions() as launcher:
        yield launcher


def live(launcher: KubernetesSessions, image: str) -> None:
    """All that the control plane ever does with one session. Raises SessionRefused."""
    if missing := launcher.missing():
        raise SessionRefused(why=missing)
    launcher.start(order_of("role", image=image))
    report = launcher.wait("role", TOKEN, 60)
    assert report.liveness is Liveness.READY
    assert [each.id for each in launcher.objects() if each.alive] == ["role"]
    assert launcher.ask({"role": (report.url, TOKEN)}, 10)["role"]
    launcher.stop("role")
    assert launcher.objects() == []


def may(shipped: Shipped, verb: str, what: str, *more: str) -> bool:
    """Whether the account may, by the API server's own word."""
    try:
        return shipped.kubectl("auth", "can-i", verb, what, ACCOUNT, *more).strip() == "yes"
    except RuntimeError:
        return False


def test_a_session_lives_and_ends_under_it(launcher: KubernetesSessions, shipped: Shipped) -> None:
    live(launcher, shipped.cluster.base_image)
    until(lambda: not shipped.objects("role"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['verbs'][0]} {rule['resources'][0]}")
def test_without_any_one_of_its_rules_something_fails(
    launcher: KubernetesSessions, shipped: Shipped, rule: dict[str, Any]
) -> None:
    (verb,), (what,) = rule["verbs"], rule["resources"]
    named = [f"{what}.{group}" if group else what for group in rule["apiGroups"]]
    targets = [f"{named[0]}/{name}" for name in rule.get("resourceNames", ())] or named
    with rules(shipped, [other for other in RULES if other != rule]):
        until(lambda: not may(shipped, verb, targets[0]))
        with pytest.raises(SessionRefused) as refused:
            live(launcher, shipped.cluster.base_image)
    until(lambda: may(shipped, verb, targets[0]))
    assert f"may not {verb} {what}" in str(refused.value.facts["why"])


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        *((verb, "secrets") for verb in ("get", "list", "watch", "update", "patch", "delete")),
        ("create", "pods --subresource=exec"),
        ("create", "pods --subresource=attach"),
        ("get", "pods --subresource=log"),
        ("update", "pods"),
        ("create", "deployments.apps"),
        ("create", "serviceaccounts/token"),
        ("update", "roles.rbac.authorization.k8s.io"),
        ("delete", "networkpolicies.networking.k8s.io"),
    ],
)
def test_it_may_not(shipped: Shipped, verb: str, what: str) -> None:
    assert not may(shipped, verb, *what.split())


@pytest.mark.parametrize("namespace", ["default", "kube-system", "bindery"])
def test_it_has_no_say_elsewhere(shipped: Shipped, namespace: str) -> None:
    elsewhere = f"--namespace={namespace}"
    assert may(shipped, "list", "pods", f"--namespace={NAMESPACE}")
    assert not any(may(shipped, verb, "pods", elsewhere) for verb in ("list", "create", "delete"))
