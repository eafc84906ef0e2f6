"""A place in line. Each change is told, it is asked for ever more rarely, and never again once the build prints lines."""

from dataclasses import dataclass, field

import pytest

from bindery.domain.errors import Throttled
from bindery.domain.launch import Launch, Stage
from bindery.domain.launch_request import StreamCursor
from bindery.web.stream.queue_position import TURN, QueuePositions, words_of_place

SILENT = StreamCursor(1, 1, -1)
LAUNCH = Launch(
    id="l",
    provider="gh",
    spec="o/r/HEAD",
    repo_url="u",
    owner="o",
    launch_host="http://testserver/",
    created_at=0,
    deadline=9,
    stage=Stage.BUILDING,
)


@dataclass
class Line:
    """A line that answers these places one after the other and repeats the last. requests: their times."""

    places: list[int | None]
    now: float = 100
    requests: list[float] = field(default_factory=list)

    def ask(self, launch: Launch) -> int | None:
        self.requests.append(self.now)
        return self.places.pop(0) if len(self.places) > 1 else self.places[0]

    def watch(self, seconds: float, launch: Launch = LAUNCH, cursor: StreamCursor = SILENT) -> list[str]:
        """Return the messages of a stream that looks twice a second."""
        places, messages = QueuePositions(self.ask, lambda: self.now), []
        end = self.now + seconds
        while self.now < end:
            if places.due(launch, cursor):
                stream_events = places.news(launch, cursor)
                assert all(stream_event.cursor == cursor for stream_event in stream_events)
                messages += [stream_event.event.message for stream_event in stream_events]
            self.now += 0.5
        return messages


def test_a_refusal_of_the_build_service_is_shown_with_the_place() -> None:
    """The words of the refusal come from outside, so they stay on one line."""
    words = words_of_place(0, "CodeBuild says: Cannot have more than 0 builds\nin queue.")
    assert words == (
        "Waiting for the build service: this build is next. It is asked again every minute; "
        "the last time CodeBuild says: Cannot have more than 0 builds in queue.\n"
    )


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (0, "Waiting for a build slot: this build is next.\n"),
        (1, "Waiting for a build slot: 1 build is before this one.\n"),
        (3, "Waiting for a build slot: 3 builds are before this one.\n"),
    ],
)
def test_a_place_is_shown_in_words(before: int, words: str) -> None:
    assert words_of_place(before) == words


def test_each_change_of_the_place_is_sent_once_and_finally_the_turn() -> None:
    line = Line([None, 2, 2, 2, 1, 0, 0, None, None])
    assert line.watch(60) == [words_of_place(2), words_of_place(1), words_of_place(0), TURN]


def test_a_build_that_never_waited_has_no_place_messages() -> None:
    assert Line([None]).watch(60) == []


def test_the_place_is_queried_less_and_less_often() -> None:
    line = Line([3])
    line.watch(3600)
    apart = [later - earlier for earlier, later in zip(line.requests, line.requests[1:], strict=False)]
    assert apart == sorted(apart)
    assert (apart[0], apart[-1]) == (1.0, 30.0)
    assert len(line.requests) < 160


@pytest.mark.parametrize("cursor", [StreamCursor(1, 1, 0), StreamCursor(1, 1, 99)])
def test_the_place_is_not_queried_once_the_build_has_output(cursor: StreamCursor) -> None:
    line = Line([3])
    assert line.watch(60, cursor=cursor) == []
    assert line.requests == []


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.BUILDING])
def test_the_place_is_queried_only_while_the_launch_waits_for_a_build(stage: Stage) -> None:
    line = Line([3])
    assert line.watch(60, LAUNCH.model_copy(update={"stage": stage})) == []
    assert line.requests == []


def test_an_error_of_the_table_sends_no_message() -> None:
    def throttled(launch: Launch) -> int | None:
        raise Throttled

    assert QueuePositions(throttled, lambda: 1.0).news(LAUNCH, SILENT) == []
