"""Launchers that race, die in the middle, or lose the API server: one session comes of it, whole, or none."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bindery.adapters.sessions.cluster import POD, ROUTE, SECRET, SERVICE, Body, Cluster
from bindery.adapters.sessions.kubernetes import KubernetesSessions
from bindery.domain.errors import LauncherDown
from bindery.domain.sessions import Liveness
from tests.cluster.shipped import Shipped
from tests.serving.lab import TOKEN, order_of, until

WHOLE = {"service": 1, "pod": 1, "httproute.gateway.networking.k8s.io": 1, "secret": 1}


class Killed(Exception):
    """The launcher's process ends here."""


@pytest.fixture
def launcher(shipped: Shipped) -> Iterator[KubernetesSessions]:
    with shipped.sessions() as launcher:
        yield launcher


def kinds(shipped: Shipped, session: str) -> dict[str, int]:
    return dict(Counter(name.partition("/")[0] for name in shipped.objects(session)))


def test_two_launchers_that_race_for_a_session_make_one(shipped: Shipped, launcher: KubernetesSessions) -> None:
    racers, together = [launcher, *(shipped.launcher() for _ in range(3))], threading.Barrier(4)
    order = order_of("raced", image=shipped.cluster.base_image)

    def race(racer: KubernetesSessions) -> str:
        together.wait()
        racer.start(order)
        report = racer.wait(order.id, TOKEN, 60)
        assert report.liveness is Liveness.READY, report
        return report.url

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(race, racers))) == 1
    assert kinds(shipped, order.id) == WHOLE
    for racer in racers[1:]:
        racer.close()


@pytest.mark.parametrize("last", [SERVICE, SECRET, POD, ROUTE])
def test_a_launcher_that_dies_on_its_way_is_continued_by_the_next(
    shipped: Shipped, launcher: KubernetesSessions, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    create = Cluster.create

    def die_after(cluster: Cluster, body: Body) -> Body | None:
        made = create(cluster, body)
        if body["kind"] == last:
            raise Killed
        return made

    order = order_of("cut", image=shipped.cluster.base_image)
    with monkeypatch.context() as patched:
        patched.setattr(Cluster, "create", die_after)
        with pytest.raises(Killed):
            launcher.start(order)
    launcher.start(order)
    assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.READY
    assert kinds(shipped, order.id) == WHOLE


def test_what_a_dead_launcher_left_is_listed_and_can_be_stopped(
    shipped: Shipped, launcher: KubernetesSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_cluster: Cluster, _body: Body) -> Body | None:
        raise Killed

    order = order_of("half", image=shipped.cluster.base_image)
    create = Cluster.create
    with monkeypatch.context() as patched:
        patched.setattr(
            Cluster, "create", lambda cluster, body: (die if body["kind"] == POD else create)(cluster, body)
        )
        with pytest.raises(Killed):
            launcher.start(order)
    assert [(each.id, each.alive) for each in launcher.objects()] == [("half", False)]
    launcher.stop(order.id)
    assert launcher.objects() == []
    until(lambda: not shipped.objects(order.id))


def test_everything_of_a_session_goes_with_it(shipped: Shipped, launcher: KubernetesSessions) -> None:
    launcher.start(order_of("whole", image=shipped.cluster.base_image))
    assert launcher.wait("whole", TOKEN, 60).liveness is Liveness.READY
    assert kinds(shipped, "whole") == WHOLE
    launcher.stop("whole")
    until(lambda: not shipped.objects("whole"))


def test_without_its_api_server_nothing_is_lost(shipped: Shipped, launcher: KubernetesSessions) -> None:
    order = order_of("away", image=shipped.cluster.base_image)
    launcher.start(order)
    shipped.cluster.stop_api_server()
    try:
        for call in (
            lambda: launcher.start(order),
            lambda: launcher.wait(order.id, TOKEN, 5),
            lambda: launcher.stop(order.id),
            launcher.objects,
        ):
            with pytest.raises(LauncherDown):
                call()
    finally:
        shipped.cluster.start_api_server()
    launcher.start(order)
    assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.READY
    assert kinds(shipped, order.id) == WHOLE


def test_a_session_that_is_awaited_comes_though_its_api_server_goes(
    shipped: Shipped, launcher: KubernetesSessions
) -> None:
    order = order_of("cutoff", image=shipped.cluster.base_image)
    launcher.start(order)
    until(lambda: shipped.pods("cutoff")[0]["status"]["phase"] == "Running")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(launcher.wait, order.id, TOKEN, 60)
        until(waiting.running)
        shipped.cluster.stop_api_server()
        try:
            assert waiting.result(30).liveness is Liveness.READY
        except LauncherDown:
            pass  # so it was told, and the launch would come back to it
        finally:
            shipped.cluster.start_api_server()
    assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.READY
