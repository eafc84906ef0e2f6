"""The processing of a build's output on its way to the visitor."""

import pytest

from bindery.domain.errors import BinderyError, BuildFailed, BuildServiceDown, Throttled
from bindery.domain.messages import LogWritten, Message
from bindery_builder.build_log import LINE_CHARACTERS, MOST_CHARACTERS, MOST_LINES, BuildLog
from bindery_builder.failure_reason import MOST_CHARACTERS as REASON_CHARACTERS
from bindery_builder.failure_reason import failed, reason
from tests.building import RecordingQueue


def logged(*chunks: bytes) -> list[str]:
    queue = RecordingQueue()
    log = BuildLog(queue, "env", 1, hidden="/store/x")
    for chunk in chunks:
        log.feed(chunk)
    log.close()
    assert [line.number for line in queue.lines] == list(range(len(queue.lines)))
    return [line.message for line in queue.lines]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], ["one\n", "two\n"]),
        ([b"on", b"e\ntw", b"o"], ["one\n", "two\n"]),
        ([b"caf\xc3", b"\xa9\n"], ["café\n"]),
        ([b"\xff\xfe\n"], ["��\n"]),
        ([b"\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07 \x1b(B.\n"], ["red bell .\n"]),
        ([b"tab\there\x00\x7f\xc2\x85\n"], ["tab\there\n"]),
        ([b"10%\r50%\r100%\n"], ["100%\n"]),
        ([b"10%\r", b"50%\r", b"100%\r\n"], ["100%\n"]),
        ([b"windows\r\n"], ["windows\n"]),
        ([b"\n\n"], ["\n", "\n"]),
        ([b"in /store/x/venv/bin\n"], ["in venv/bin\n"]),
        ([b"from https://me:secret@example.org/simple\n"], ["from https://example.org/simple\n"]),
    ],
)
def test_log_lines_equal_the_output_in_a_terminal(chunks: list[bytes], lines: list[str]) -> None:
    assert logged(*chunks) == lines


def test_long_lines_are_shortened() -> None:
    assert logged(b"x" * 10_000 + b"\n") == ["x" * LINE_CHARACTERS + "\n"]
    assert logged(*[b"y" * 1_000] * 100, b"\nz\n") == ["y" * LINE_CHARACTERS + "\n", "z\n"]


@pytest.mark.parametrize("text", [b"line\n", b"w" * 1_500 + b"\n"])
def test_the_middle_of_a_very_long_log_is_omitted_with_a_notice(text: bytes) -> None:
    lines = logged(*[text * 50] * 1_000, b"the end\n")
    assert len(lines) <= MOST_LINES
    assert sum(map(len, lines)) <= MOST_CHARACTERS + 100_000
    assert lines[-1] == "the end\n"
    notices = [line for line in lines if "lines left out" in line]
    assert len(notices) == 1
    assert int(notices[0].split()[1]) == 50_001 - (len(lines) - 1)


def test_the_first_line_is_sent_at_once_and_later_ones_in_batches() -> None:
    queue = RecordingQueue()
    log = BuildLog(queue, "env", 1)
    log.say("first")
    assert queue.text == "first\n"
    for number in range(5):
        log.feed(b"%d\n" % number)
    log.close()
    assert queue.text == "first\n0\n1\n2\n3\n4\n"
    assert len(queue.messages) < 6


def test_log_messages_have_a_limited_size() -> None:
    queue = RecordingQueue()
    log = BuildLog(queue, "env", 1)
    log.feed((b"x" * 1_900 + b"\n") * 400)
    log.close()
    assert len(queue.lines) == 400
    assert all(len(message.model_dump_json()) < 70_000 for message in queue.messages)


def test_lines_have_the_phase_of_the_last_message() -> None:
    queue = RecordingQueue()
    log = BuildLog(queue, "env", 1)
    log.say("a")
    log.say("b", "building")
    log.feed(b"c\n")
    log.close()
    assert [line.phase for line in queue.lines] == ["fetching", "building", "building"]


class Refusing(RecordingQueue):
    """A queue that refuses the first `times` messages sent to it."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def send(self, message: Message, delay: float = 0) -> None:
        self.times -= 1
        if self.times >= 0:
            raise Throttled
        super().send(message, delay)


def test_lines_that_the_queue_refused_are_sent_again() -> None:
    queue = Refusing(1)
    log = BuildLog(queue, "env", 1)
    log.say("first")
    log.say("second")
    log.close()
    assert queue.text == "first\nsecond\n"
    assert all(isinstance(message, LogWritten) for message in queue.messages)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ([], ""),
        (["fine", "boom"], "boom"),
        (
            [
                "error: No solution found when resolving dependencies",
                "  cause: Because x was not found and",
                "  you require x.",
            ],
            "Because x was not found and you require x.",
        ),
        (["  \u00d7 No solution found when resolving:", "  ╰─▶ Because x", "      is not."], "Because x is not."),
        (["Resolved", "error: Failed to fetch", "  cause: timed out"], "Failed to fetch timed out"),
    ],
)
def test_the_reason_is_the_informative_part_of_the_output(last: list[str], why: str) -> None:
    assert reason(last) == why


def test_a_reason_is_shortened() -> None:
    assert len(reason(["error: " + "long " * 200])) == REASON_CHARACTERS


@pytest.mark.parametrize(
    ("code", "last", "error"),
    [
        (1, ["error: x"], BuildFailed(step="s", why="x")),
        (1, [], BuildFailed(step="s", why="")),
        (3, ["error: failed to copy: No space left on device (os error 28)"], BuildServiceDown(why="the disk is full")),
        (1, ["No space left on device", *["then it went on"] * 40, "error: x"], BuildFailed(step="s", why="x")),
        (-9, ["Resolved 9 packages"], BuildFailed(step="s", why="it was killed, as happens when memory runs out")),
        (137, [], BuildFailed(step="s", why="it was killed, as happens when memory runs out")),
        (139, ["error: x"], BuildFailed(step="s", why="x")),
    ],
)
def test_a_failed_command_is_reported_with_its_reason(code: int, last: list[str], error: BinderyError) -> None:
    reported = failed("s", code, last)
    assert (type(reported), reported.facts) == (type(error), error.facts)
