"""Which Pod of a session is waited for, and that trouble on the way is told."""

import time

import pytest

from bindery.adapters.sessions.pod_watch import PodWatch
from bindery.domain.errors import LauncherDown
from tests.unit.test_sessions_cluster import A_POD, answering, event, saying, telling


def test_nonsense_reaches_whoever_waits_for_the_pod() -> None:
    there = {"metadata": {"resourceVersion": "1"}, "items": [A_POD]}
    with answering(saying(there), telling(b"<html>\n")) as (cluster, _), PodWatch(cluster, "x", 5) as watch:
        began = time.monotonic()
        with pytest.raises(LauncherDown):
            watch.next(5)
        assert time.monotonic() - began < 4


def run(number: int, second: int, *, marked: bool = False, gone: bool = False) -> dict[str, object]:
    """The Pod of a session's run. Its image tells which."""
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
def test_of_a_session_s_runs_the_latest_counts(pods: tuple[object, ...], waits: bool) -> None:
    for items in (pods, pods[::-1]):
        with answering(saying({"metadata": {"resourceVersion": "1"}, "items": items})) as (cluster, _):
            assert PodWatch(cluster, "x", 0).state.runs is waits


def test_of_two_runs_that_live_the_latest_is_watched() -> None:
    there = {"metadata": {"resourceVersion": "1"}, "items": [run(1, 0), run(2, 5)]}
    with answering(saying(there), telling(event())) as (cluster, asked), PodWatch(cluster, "x", 5) as watch:
        watch.next(5)
        assert "metadata.name%3Dsession-x-2&" in asked[1]
