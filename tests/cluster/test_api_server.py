"""Tests that stop and start the API server while sessions are launched. Every call reports it, and goes on afterwards
where it was.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.errors import LauncherDown, Retryable
from bindery.domain.sessions import Liveness, SessionReport
from bindery.web.errors.render import error_message
from tests.cluster.cluster import Cluster
from tests.cluster.trials import Trials
from tests.serving.lab import TOKEN, until

DOWN = "the cluster's API server does not answer"


@pytest.fixture
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    with trials.launcher() as launcher:
        yield launcher
    trials.shipped.remove_sessions()


@contextmanager
def stopped(cluster: Cluster) -> Iterator[None]:
    cluster.stop_api_server()
    try:
        yield
    finally:
        cluster.start_api_server()


def test_every_call_fails_with_a_retryable_error_while_the_api_server_is_down(
    launcher: KubernetesSessions, trials: Trials
) -> None:
    order = trials.order()
    calls: list[Callable[[], object]] = [
        lambda: launcher.start(order),
        lambda: launcher.wait(order.id, TOKEN, 5),
        lambda: launcher.stop(order.id),
        launcher.list_sessions,
    ]
    with stopped(trials.shipped.cluster):
        for call in calls:
            with pytest.raises(LauncherDown) as down:
                call()
            assert down.value.facts == {"why": DOWN}
        assert isinstance(down.value, Retryable)
        assert error_message(down.value).message == (
            f"Sessions cannot be started just now: {DOWN}. Launch again in a few minutes."
        )
        assert DOWN in launcher.missing()
    launcher.start(order)
    assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.READY


def test_a_session_answers_and_stays_known_across_an_api_server_outage(
    launcher: KubernetesSessions, trials: Trials
) -> None:
    order = trials.order()
    launcher.start(order)
    report = launcher.wait(order.id, TOKEN, 60)
    with stopped(trials.shipped.cluster):
        assert launcher.activity({order.id: (report.url, TOKEN)}, 5)[order.id]
    assert [each.alive for each in launcher.list_sessions() if each.id == order.id] == [True]
    assert launcher.wait(order.id, TOKEN, 5).url == report.url


def test_a_wait_fails_early_when_the_api_server_stops_and_can_be_repeated(trials: Trials) -> None:
    with trials.launcher("mute") as launcher:
        order = trials.order()
        launcher.start(order)
        began, ends = time.monotonic(), list[SessionReport | LauncherDown]()

        def wait() -> None:
            try:
                ends.append(launcher.wait(order.id, TOKEN, 100))
            except LauncherDown as down:
                ends.append(down)

        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: trials.shipped.pods(order.id)[0]["status"]["phase"] == "Running", 60)
        with stopped(trials.shipped.cluster):
            waiting.join(60)
        assert [type(end) for end in ends] == [LauncherDown]
        assert time.monotonic() - began < 100
        assert launcher.wait(order.id, TOKEN, 0).liveness is Liveness.STARTING
        launcher.stop(order.id)
