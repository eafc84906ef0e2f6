"""Tests of launchers that race and of launchers that are killed midway. Another launcher goes on, and no object
exists twice.
"""

import json
import threading
from collections.abc import Iterator

import pytest

from bindery.adapters.kubernetes.api import POD, ROUTE, SECRET, SERVICE, Body, Cluster
from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.sessions import Liveness, SessionReport
from tests.cluster.trials import Trials
from tests.serving.lab import TOKEN, until

ALL = ["httproute.gateway.networking.k8s.io", "pod", "secret", "service"]


class Killed(BaseException):
    """An exception that no product code catches, as when the process is ended."""


@pytest.fixture(scope="module")
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    with trials.launcher() as launcher:
        yield launcher
    trials.shipped.remove_sessions()


def kinds(trials: Trials, session: str) -> list[str]:
    """Return the kind of each object of a session."""
    return sorted(each.partition("/")[0] for each in trials.shipped.objects(session))


def names(trials: Trials, session: str) -> set[str]:
    return set(trials.shipped.objects(session))


def test_racing_launchers_start_one_session(trials: Trials) -> None:
    order, barrier, reports, strays = trials.order(), threading.Barrier(4), list[SessionReport](), list[Exception]()

    def launch() -> None:
        with trials.launcher() as launcher:
            barrier.wait()
            try:
                launcher.start(order)
                reports.append(launcher.wait(order.id, TOKEN, 60))
            except Exception as error:  # noqa: BLE001  # told by the test
                strays.append(error)

    threads = [threading.Thread(target=launch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert strays == []
    assert [report.liveness for report in reports] == [Liveness.READY] * 4
    assert len({report.url for report in reports}) == 1
    assert kinds(trials, order.id) == ALL


@pytest.mark.parametrize("kind", [SERVICE, SECRET, POD, ROUTE])
def test_a_launcher_completes_the_start_of_a_killed_one(
    launcher: KubernetesSessions, trials: Trials, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    create = Cluster.create

    def killed(self: Cluster, body: Body) -> Body | None:
        created = create(self, body)
        if body["kind"] == kind:
            raise Killed
        return created

    order = trials.order()
    with trials.launcher() as first, monkeypatch.context() as patched:
        patched.setattr(Cluster, "create", killed)
        with pytest.raises(Killed):
            first.start(order)
    before = names(trials, order.id)
    launcher.start(order)
    assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.READY
    assert kinds(trials, order.id) == ALL
    assert before <= names(trials, order.id), "what was there is used"
    launcher.stop(order.id)
    until(lambda: not names(trials, order.id), 30)


def test_remains_of_a_killed_launcher_are_listed_and_can_be_stopped(
    launcher: KubernetesSessions, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Cluster.create

    def killed(self: Cluster, body: Body) -> Body | None:
        if body["kind"] == POD:
            raise Killed
        return create(self, body)

    order = trials.order()
    with monkeypatch.context() as patched:
        patched.setattr(Cluster, "create", killed)
        with pytest.raises(Killed):
            launcher.start(order)
    assert [each.alive for each in launcher.list_sessions() if each.id == order.id] == [False]
    launcher.stop(order.id)
    assert order.id not in {each.id for each in launcher.list_sessions()}
    until(lambda: not names(trials, order.id), 30)


@pytest.mark.parametrize("kind", [SECRET, POD, ROUTE])
def test_a_session_stopped_during_its_start_leaves_no_objects(
    launcher: KubernetesSessions, trials: Trials, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    create = Cluster.create
    order = trials.order()

    def stopped(self: Cluster, body: Body) -> Body | None:
        if body["kind"] == kind:
            launcher.stop(order.id)
        return create(self, body)

    with trials.launcher("mute") as first, monkeypatch.context() as patched:
        patched.setattr(Cluster, "create", stopped)
        first.start(order)
    # An object made after the stop belongs to a Service that is gone: the cluster removes it in a moment.
    assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.GONE
    until(lambda: not names(trials, order.id), 60)
    assert order.id not in {each.id for each in launcher.list_sessions()}


def test_a_stop_removes_all_objects_of_its_session_and_none_of_another(trials: Trials) -> None:
    one, two = trials.order(), trials.order()
    with trials.launcher("mute") as launcher:
        for order in (one, two):
            launcher.start(order)
        assert kinds(trials, one.id) == kinds(trials, two.id) == ALL
        launcher.stop(one.id)
        until(lambda: not names(trials, one.id), 30)
        assert kinds(trials, two.id) == ALL
        launcher.stop(two.id)


def test_a_session_started_right_after_its_stop_has_new_objects(launcher: KubernetesSessions, trials: Trials) -> None:
    order = trials.order()
    launcher.start(order)
    before = names(trials, order.id)
    launcher.stop(order.id)
    launcher.start(order)
    assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.READY
    until(lambda: kinds(trials, order.id) == ALL, 30)
    assert names(trials, order.id) & before == {f"service/session-{order.id}"}


def test_objects_are_owned_by_the_service_of_their_session(launcher: KubernetesSessions, trials: Trials) -> None:
    order = trials.order()
    launcher.start(order)
    chosen = ("-l", f"bindery.session/id={order.id}", "-o", "json")
    items = json.loads(trials.shipped.kubectl("get", "services,pods,httproutes,secrets", *chosen))["items"]
    owners = {each["kind"]: [one["uid"] for one in each["metadata"].get("ownerReferences", [])] for each in items}
    (service,) = [each["metadata"]["uid"] for each in items if each["kind"] == "Service"]
    assert owners == {"Service": [], "Secret": [service], "Pod": [service], "HTTPRoute": [service]}
    launcher.stop(order.id)
