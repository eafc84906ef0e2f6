"""Tests of one build slot and three repositories. Each waits for its turn, and sees how many are before it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.state.build_slots import BuildSlots
from bindery.state.fair_order import FairOrder
from bindery_local.sqlite_table import SqliteTable
from tests.serving.gate import Gate
from tests.serving.git_http import GitServer, make_repository
from tests.serving.runtime import LocalRuntime, Stream, until

Spec = Callable[..., str]
NEXT = "Waiting for a build slot: this build is next.\n"
ONE_BEFORE = "Waiting for a build slot: 1 build is before this one.\n"


@pytest.fixture
def narrow(home: Path, git_server: GitServer) -> Iterator[LocalRuntime]:
    """Provide a Bindery that makes one environment at a time.

    It looks for lost messages so rarely that no timer helps in these tests.
    """
    settings = {"build_slots": 1, "reconcile_seconds": 600}
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=settings) as runtime:
        yield runtime


def wait_for_message(stream: Stream, message: str) -> str:
    """Listen until the message comes, and return the event's id."""
    return next(event.id for event in stream.listen() if event.message == message)


def slots(bindery: LocalRuntime) -> tuple[int, int]:
    """Return from the table the numbers of builds that have a slot and that wait for one.

    No timer renders /metrics soon enough for these tests.
    """
    build_slots = BuildSlots(SqliteTable(bindery.home / "table.sqlite"), SystemClock(), FairOrder(1))
    return len(build_slots.held()), build_slots.waiting()


def specs(git_server: GitServer, spec_of: Spec, gate: Gate) -> list[str]:
    make_repository(git_server.root / "slot-a.git", {"postBuild": gate.post_build("echo at the gate")})
    make_repository(git_server.root / "slot-b.git", {"environment.yml": "dependencies: []\n"})
    make_repository(git_server.root / "slot-c.git", {"requirements.txt": "iniconfig\n"})
    return [spec_of(f"slot-{name}.git") for name in "abc"]


def test_builds_run_in_turn_and_visitors_see_their_place(
    narrow: LocalRuntime, git_server: GitServer, spec_of: Spec, gate: Gate
) -> None:
    a, b, c = specs(git_server, spec_of, gate)
    with ExitStack() as streams:
        first = streams.enter_context(narrow.stream(a, build_only="true"))
        wait_for_message(first, "at the gate\n")
        second = streams.enter_context(narrow.stream(b))
        wait_for_message(second, NEXT)
        third = streams.enter_context(narrow.stream(c))
        last_id = wait_for_message(third, ONE_BEFORE)
        assert slots(narrow) == (1, 2)
        assert len(narrow.builds()) > 0

        answer = narrow.client.post("/api/launches", json={"provider": "git", "spec": c, "build_only": True}).json()
        permit = {"Authorization": f"Bearer {answer['launcher_token']}"}
        address = answer["address"]
        place = {"builds_before": 1, "message": ONE_BEFORE.strip()}
        until(lambda: narrow.client.get(address, headers=permit).json()["queue"] == place)

        gate.open()
        with ThreadPoolExecutor(3) as listeners:
            ended = list(listeners.map(Stream.finish, (first, second, third)))
    assert [stream.last.phase for stream in ended] == ["ready"] * 3
    assert NEXT in third.text
    assert "fetching" in second.phases
    state = narrow.client.get(address, headers=permit).json()
    assert state["queue"] is None
    again = narrow.launch(c, headers={"Last-Event-ID": last_id})
    assert again.last.data["url"] == third.last.data["url"]
    assert not any("build slot" in event.message for event in again.events)
    assert slots(narrow) == (0, 0)


def test_waiting_builds_continue_after_a_crash(
    narrow: LocalRuntime, git_server: GitServer, spec_of: Spec, gate: Gate
) -> None:
    a, b, c = specs(git_server, spec_of, gate)
    tokens = {spec: narrow.token(f"git/{spec}", jti=spec) for spec in (a, b, c)}
    with ExitStack() as streams:
        for spec, message in ((a, "at the gate\n"), (b, NEXT), (c, ONE_BEFORE)):
            wait_for_message(streams.enter_context(narrow.stream(spec, build_token=tokens[spec])), message)
        narrow.kill9()
    gate.open()
    narrow.start()
    with ThreadPoolExecutor(3) as visitors:
        ended = list(visitors.map(lambda spec: narrow.launch(spec, build_token=tokens[spec]), (a, b, c)))
    assert [stream.last.phase for stream in ended] == ["ready"] * 3
    assert slots(narrow) == (0, 0)
