"""The events of a launch that a client's stream receives, and the point from which it continues after a reconnect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Phase
from bindery.domain.launch_request import StreamCursor
from bindery.domain.messages import LogLine, LogWritten, StopRequested
from bindery.domain.sessions import Session
from tests.fakes.in_memory_system import InMemorySystem


def waiting(system: InMemorySystem, lines: int = 0, chunk: int = 100) -> Launch:
    """Return a launch with a running build that has printed this number of lines."""
    launch = system.open()
    system.pump()
    now = system.launch(launch)
    written(system, now, range(lines), chunk)
    return now


def written(system: InMemorySystem, launch: Launch, numbers: range, chunk: int = 100) -> None:
    for first in range(numbers.start, numbers.stop, chunk):
        chunk_numbers = range(first, min(first + chunk, numbers.stop))
        lines = tuple(LogLine(number=n, phase="building", message=f"{n}\n") for n in chunk_numbers)
        system.handle(LogWritten(environment=launch.environment, attempt=launch.attempt, lines=lines))


def messages_of(system: InMemorySystem, launch: Launch, cursor: StreamCursor | None = None) -> list[str]:
    _, stream_events = system.bindery.follow_launch(launch.id, cursor or StreamCursor())
    return [stream_event.event.message for stream_event in stream_events]


@given(
    st.builds(
        StreamCursor,
        st.integers(0, 999_999_999),
        st.integers(0, 999_999_999),
        st.none() | st.integers(-1, 999_999_999),
    )
)
def test_a_stream_cursor_is_read_back_unchanged(cursor: StreamCursor) -> None:
    assert StreamCursor.read(str(cursor)) == cursor


@given(st.text())
def test_any_text_can_be_read_as_a_cursor(text: str) -> None:
    assert StreamCursor.read(text) == StreamCursor() or str(StreamCursor.read(text))


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1.1", "-1.0.", "1.0.--5", "1.0.-2", "1.0.x", "٣.0.", "9" * 5000 + ".0."]
)
def test_an_invalid_cursor_means_the_beginning(text: str) -> None:
    assert StreamCursor.read(text) == StreamCursor()


def test_events_are_sent_in_order_and_once(system: InMemorySystem) -> None:
    launch = system.ready()
    _, stream_events = system.bindery.follow_launch(launch.id, StreamCursor())
    phases = [stream_event.event.phase for stream_event in stream_events]
    assert phases == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]
    assert system.bindery.follow_launch(launch.id, stream_events[-1].cursor)[1] == []
    assert len(system.bindery.follow_launch(launch.id, stream_events[1].cursor)[1]) == 2


def test_log_lines_come_between_waiting_and_built(system: InMemorySystem) -> None:
    launch = waiting(system, 3)
    assert messages_of(system, launch)[1:] == ["0\n", "1\n", "2\n"]
    system.build()
    _, stream_events = system.bindery.follow_launch(launch.id, StreamCursor())
    assert [stream_event.event.phase.value for stream_event in stream_events] == [
        *("waiting", "building", "building", "building", "built", "launching", "ready")
    ]


@pytest.mark.parametrize("lines", [0, 1, 99, 100, 101, 5000])
@pytest.mark.parametrize("chunk", [1, 7, 100, 500])
def test_a_late_client_gets_the_last_100_lines(system: InMemorySystem, lines: int, chunk: int) -> None:
    if lines == 5000 and chunk == 1:
        chunk = 3
    launch = waiting(system, lines, chunk)
    assert messages_of(system, launch)[1:] == [f"{n}\n" for n in range(max(0, lines - 100), lines)]


def test_a_client_from_the_beginning_gets_every_line(system: InMemorySystem) -> None:
    launch = waiting(system)
    _, (first_event,) = system.bindery.follow_launch(launch.id, StreamCursor())
    cursor, lines = first_event.cursor, []
    for first in range(0, 1000, 130):
        written(system, launch, range(first, first + 130))
        _, stream_events = system.bindery.follow_launch(launch.id, cursor)
        lines += [
            stream_event.event.message for stream_event in stream_events if stream_event.event.phase is Phase.BUILDING
        ]
        cursor = stream_events[-1].cursor
    assert lines == [f"{n}\n" for n in range(1040)]


@pytest.mark.parametrize("last_line", [0, 1, 49, 98, 99, 100, 150])
def test_a_reconnect_in_the_middle_of_a_chunk_loses_no_line(system: InMemorySystem, last_line: int) -> None:
    launch = waiting(system, 200)
    assert messages_of(system, launch, StreamCursor(1, 1, last_line)) == [f"{n}\n" for n in range(last_line + 1, 200)]


def test_a_repeated_chunk_is_sent_once(system: InMemorySystem) -> None:
    launch = waiting(system, 10)
    written(system, launch, range(10))
    assert len(messages_of(system, launch)) == 11


def followed(system: InMemorySystem, launch: Launch, cursor: StreamCursor) -> tuple[list[str], StreamCursor]:
    """Return the log lines that are new to a client, and its cursor after them."""
    _, stream_events = system.bindery.follow_launch(launch.id, cursor)
    lines = [stream_event.event.message for stream_event in stream_events if stream_event.event.phase is Phase.BUILDING]
    return lines, stream_events[-1].cursor if stream_events else cursor


def test_a_late_chunk_is_sent_in_its_place(system: InMemorySystem) -> None:
    launch = waiting(system)
    _, cursor = followed(system, launch, StreamCursor())
    written(system, launch, range(10, 20))
    early, cursor = followed(system, launch, cursor)
    system.clock.advance(9)
    written(system, launch, range(10))
    assert early + followed(system, launch, cursor)[0] == [f"{n}\n" for n in range(20)]


def test_a_missing_chunk_delays_the_following_ones(system: InMemorySystem) -> None:
    launch = waiting(system)
    _, cursor = followed(system, launch, StreamCursor())
    for part in (range(10), range(20, 30), range(30, 40)):
        written(system, launch, part)
    early, cursor = followed(system, launch, cursor)
    assert early == [f"{n}\n" for n in range(10)]
    written(system, launch, range(10, 20))
    assert followed(system, launch, cursor)[0] == [f"{n}\n" for n in range(10, 40)]


def test_a_lost_chunk_delays_the_log_for_ten_seconds(system: InMemorySystem) -> None:
    launch = waiting(system)
    _, cursor = followed(system, launch, StreamCursor())
    written(system, launch, range(10, 20))
    system.clock.advance(10)
    lines, cursor = followed(system, launch, cursor)
    assert lines == [f"{n}\n" for n in range(10, 20)]
    written(system, launch, range(20, 30))
    assert followed(system, launch, cursor)[0] == [f"{n}\n" for n in range(20, 30)]


def test_an_ended_build_sends_all_its_lines_despite_missing_ones(system: InMemorySystem) -> None:
    launch = waiting(system)
    _, cursor = followed(system, launch, StreamCursor())
    written(system, launch, range(10, 20))
    system.build()
    assert followed(system, launch, cursor)[0] == [f"{n}\n" for n in range(10, 20)]


def test_an_existing_image_sends_no_events_of_its_build(system: InMemorySystem) -> None:
    waiting(system, 5)
    system.build()
    system.host.note = "There is no master: using HEAD."
    launch = system.ready()
    _, stream_events = system.bindery.follow_launch(launch.id, StreamCursor())
    phases = [stream_event.event.phase for stream_event in stream_events]
    assert phases == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]


def test_a_second_attempt_sends_its_own_lines(system: InMemorySystem) -> None:
    launch = waiting(system, 5)
    _, stream_events = system.bindery.follow_launch(launch.id, StreamCursor())
    del system.builds.reports[f"{launch.environment}-1"]
    system.clock.advance(61)
    system.bindery.reconcile()
    system.pump()
    again = system.launch(launch)
    assert again.attempt == 2
    written(system, again, range(2))
    assert messages_of(system, again, stream_events[-1].cursor)[1:] == ["0\n", "1\n"]


def test_a_session_is_returned_only_while_it_runs(system: InMemorySystem) -> None:
    launch = system.ready()
    session = system.bindery.follow_launch.session(launch)
    assert isinstance(session, Session)
    assert session.id == launch.id
    system.handle(StopRequested(session=launch.id, reason="it was idle"))
    assert system.bindery.follow_launch.session(launch) == Failure(kind="SessionEnded", facts={"reason": "it was idle"})


def test_following_a_launch_writes_nothing(system: InMemorySystem) -> None:
    launch = system.ready()
    written_to: list[str] = []
    system.table.before = lambda operation, keys: written_to.append(operation)
    system.bindery.follow_launch(launch.id, StreamCursor())
    system.bindery.follow_launch.session(launch)
    assert set(written_to) <= {"get", "query"}
