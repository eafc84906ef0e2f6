"""The choice of the Pod to wait for among a session's Pods, and the report of trouble during the wait."""

import time

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.kubernetes.launcher import KubernetesSessions, PublicAddress
from bindery.adapters.kubernetes.manifests import Making
from bindery.adapters.kubernetes.pod_watch import PodWatch
from bindery.domain.errors import LauncherDown
from bindery.domain.resources import Resources
from bindery.domain.sessions import Liveness
from tests.serving.kubernetes_answers import A_POD, chunked_answer, event, server_with, whole_answer


def test_an_invalid_watch_event_ends_the_wait_with_an_error() -> None:
    there = {"metadata": {"resourceVersion": "1"}, "items": [A_POD]}
    with (
        server_with(whole_answer(there), chunked_answer(b"<html>\n")) as (cluster, _),
        PodWatch(cluster, "x", 5) as watch,
    ):
        began = time.monotonic()
        with pytest.raises(LauncherDown):
            watch.next(5)
        assert time.monotonic() - began < 4


def run(number: int, second: int, *, marked: bool = False, gone: bool = False) -> dict[str, object]:
    """Return the Pod of a session's run. Its name contains the number of the run."""
    at = f"2026-01-01T00:00:{second:02}Z"
    metadata = {"name": f"session-x-{number}", "creationTimestamp": at, **({"deletionTimestamp": at} if marked else {})}
    status = {"phase": "Failed"} if gone else {"containerStatuses": [{"name": "session", "state": {"running": {}}}]}
    return {"metadata": metadata, "spec": {"containers": []}, "status": status}


@pytest.mark.parametrize(
    ("pods", "waits"),
    [
        ((run(1, 0, marked=True), run(2, 5)), True),
        ((run(1, 0), run(2, 5, gone=True)), False),
        ((run(1, 0, gone=True), run(2, 5)), True),
        ((run(1, 5, gone=True), run(2, 5)), True),
        ((run(1, 5, marked=True), run(2, 5)), True),
    ],
)
def test_the_latest_pod_of_a_session_counts(pods: tuple[object, ...], waits: bool) -> None:
    for items in (pods, pods[::-1]):
        with server_with(whole_answer({"metadata": {"resourceVersion": "1"}, "items": items})) as (cluster, _):
            assert PodWatch(cluster, "x", 0).state.runs is waits


def test_the_latest_of_two_running_pods_is_watched() -> None:
    there = {"metadata": {"resourceVersion": "1"}, "items": [run(1, 0), run(2, 5)]}
    with (
        server_with(whole_answer(there), chunked_answer(event())) as (cluster, requests),
        PodWatch(cluster, "x", 5) as watch,
    ):
        watch.next(5)
        assert "metadata.name%3Dsession-x-2&" in requests[1]


@pytest.mark.parametrize("pod", [A_POD, run(1, 0)])
def test_a_wait_of_any_length_sends_two_requests(pod: dict[str, object]) -> None:
    there = {"metadata": {"resourceVersion": "1"}, "items": [pod]}
    with server_with(whole_answer(there), chunked_answer()) as (cluster, requests):
        nobody = PublicAddress("http://sessions.localhost:9")
        launcher = KubernetesSessions(cluster, Making("x", nobody.domain, Resources()), nobody, SystemClock())
        began = time.monotonic()
        assert launcher.wait("x", "t" * 32, 1.5).liveness is Liveness.STARTING
        assert 1.5 <= time.monotonic() - began < 10
        listed, watched = requests
    assert "labelSelector=bindery.session%2Fid%3Dx" in listed
    assert "watch=true" in watched
