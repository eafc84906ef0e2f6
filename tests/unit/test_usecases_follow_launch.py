"""The events of a launch that a client's stream receives, and the point from which it continues after a reconnect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Phase
from bindery.domain.launch_request import StreamCursor
from bindery.domain.messages import LogLine, LogWritten, StopRequested
from bindery.domain.sessions import Session
from tests.fakes.in_memory_system import Small


def waiting(small: Small, lines: int = 0, chunk: int = 100) -> Launch:
    """Return a launch with a running build that has printed this number of lines."""
    launch = small.open()
    small.pump()
    now = small.launch(launch)
    written(small, now, range(lines), chunk)
    return now


def written(small: Small, launch: Launch, numbers: range, chunk: int = 100) -> None:
    for first in range(numbers.start, numbers.stop, chunk):
        chunk_numbers = range(first, min(first + chunk, numbers.stop))
        lines = tuple(LogLine(number=n, phase="building", message=f"{n}\n") for n in chunk_numbers)
        small.handle(LogWritten(environment=launch.environment, attempt=launch.attempt, lines=lines))


def heard(small: Small, launch: Launch, cursor: StreamCursor | None = None) -> list[str]:
    _, stream_events = small.system.follow_launch(launch.id, cursor or StreamCursor())
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


def test_events_are_sent_in_order_and_once(small: Small) -> None:
    launch = small.ready()
    _, stream_events = small.system.follow_launch(launch.id, StreamCursor())
    phases = [stream_event.event.phase for stream_event in stream_events]
    assert phases == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]
    assert small.system.follow_launch(launch.id, stream_events[-1].told)[1] == []
    assert len(small.system.follow_launch(launch.id, stream_events[1].told)[1]) == 2


def test_log_lines_come_between_waiting_and_built(small: Small) -> None:
    launch = waiting(small, 3)
    assert heard(small, launch)[1:] == ["0\n", "1\n", "2\n"]
    small.build()
    _, stream_events = small.system.follow_launch(launch.id, StreamCursor())
    assert [stream_event.event.phase.value for stream_event in stream_events] == [
        *("waiting", "building", "building", "building", "built", "launching", "ready")
    ]


@pytest.mark.parametrize("lines", [0, 1, 99, 100, 101, 5000])
@pytest.mark.parametrize("chunk", [1, 7, 100, 500])
def test_a_late_client_gets_the_last_100_lines(small: Small, lines: int, chunk: int) -> None:
    if lines == 5000 and chunk == 1:
        chunk = 3
    launch = waiting(small, lines, chunk)
    assert heard(small, launch)[1:] == [f"{n}\n" for n in range(max(0, lines - 100), lines)]


def test_a_client_from_the_beginning_gets_every_line(small: Small) -> None:
    launch = waiting(small)
    _, (first_event,) = small.system.follow_launch(launch.id, StreamCursor())
    cursor, lines = first_event.told, []
    for first in range(0, 1000, 130):
        written(small, launch, range(first, first + 130))
        _, stream_events = small.system.follow_launch(launch.id, cursor)
        lines += [
            stream_event.event.message for stream_event in stream_events if stream_event.event.phase is Phase.BUILDING
        ]
        cursor = stream_events[-1].told
    assert lines == [f"{n}\n" for n in range(1040)]


@pytest.mark.parametrize("heard_last", [0, 1, 49, 98, 99, 100, 150])
def test_a_reconnect_in_the_middle_of_a_chunk_loses_no_line(small: Small, heard_last: int) -> None:
    launch = waiting(small, 200)
    assert heard(small, launch, StreamCursor(1, 1, heard_last)) == [f"{n}\n" for n in range(heard_last + 1, 200)]


def test_a_repeated_chunk_is_sent_once(small: Small) -> None:
    launch = waiting(small, 10)
    written(small, launch, range(10))
    assert len(heard(small, launch)) == 11


def followed(small: Small, launch: Launch, cursor: StreamCursor) -> tuple[list[str], StreamCursor]:
    """Return the log lines that are new to a client, and its cursor after them."""
    _, stream_events = small.system.follow_launch(launch.id, cursor)
    lines = [stream_event.event.message for stream_event in stream_events if stream_event.event.phase is Phase.BUILDING]
    return lines, stream_events[-1].told if stream_events else cursor


def test_a_late_chunk_is_sent_in_its_place(small: Small) -> None:
    launch = waiting(small)
    _, cursor = followed(small, launch, StreamCursor())
    written(small, launch, range(10, 20))
    early, cursor = followed(small, launch, cursor)
    small.clock.advance(9)
    written(small, launch, range(10))
    assert early + followed(small, launch, cursor)[0] == [f"{n}\n" for n in range(20)]


def test_a_missing_chunk_delays_the_following_ones(small: Small) -> None:
    launch = waiting(small)
    _, cursor = followed(small, launch, StreamCursor())
    for part in (range(10), range(20, 30), range(30, 40)):
        written(small, launch, part)
    early, cursor = followed(small, launch, cursor)
    assert early == [f"{n}\n" for n in range(10)]
    written(small, launch, range(10, 20))
    assert followed(small, launch, cursor)[0] == [f"{n}\n" for n in range(10, 40)]


def test_a_lost_chunk_delays_the_log_for_ten_seconds(small: Small) -> None:
    launch = waiting(small)
    _, cursor = followed(small, launch, StreamCursor())
    written(small, launch, range(10, 20))
    small.clock.advance(10)
    lines, cursor = followed(small, launch, cursor)
    assert lines == [f"{n}\n" for n in range(10, 20)]
    written(small, launch, range(20, 30))
    assert followed(small, launch, cursor)[0] == [f"{n}\n" for n in range(20, 30)]


def test_an_ended_build_sends_all_its_lines_despite_missing_ones(small: Small) -> None:
    launch = waiting(small)
    _, cursor = followed(small, launch, StreamCursor())
    written(small, launch, range(10, 20))
    small.build()
    assert followed(small, launch, cursor)[0] == [f"{n}\n" for n in range(10, 20)]


def test_an_existing_image_sends_no_events_of_its_build(small: Small) -> None:
    waiting(small, 5)
    small.build()
    small.host.note = "There is no master: using HEAD."
    launch = small.ready()
    _, stream_events = small.system.follow_launch(launch.id, StreamCursor())
    phases = [stream_event.event.phase for stream_event in stream_events]
    assert phases == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]


def test_a_second_attempt_sends_its_own_lines(small: Small) -> None:
    launch = waiting(small, 5)
    _, stream_events = small.system.follow_launch(launch.id, StreamCursor())
    del small.builds.reports[f"{launch.environment}-1"]
    small.clock.advance(61)
    small.system.reconcile()
    small.pump()
    again = small.launch(launch)
    assert again.attempt == 2
    written(small, again, range(2))
    assert heard(small, again, stream_events[-1].told)[1:] == ["0\n", "1\n"]


def test_a_session_is_returned_only_while_it_runs(small: Small) -> None:
    launch = small.ready()
    session = small.system.follow_launch.session(launch)
    assert isinstance(session, Session)
    assert session.id == launch.id
    small.handle(StopRequested(session=launch.id, reason="it was idle"))
    assert small.system.follow_launch.session(launch) == Failure(kind="SessionEnded", facts={"reason": "it was idle"})


def test_following_a_launch_writes_nothing(small: Small) -> None:
    launch = small.ready()
    written_to: list[str] = []
    small.table.before = lambda operation, keys: written_to.append(operation)
    small.system.follow_launch(launch.id, StreamCursor())
    small.system.follow_launch.session(launch)
    assert set(written_to) <= {"get", "query"}
