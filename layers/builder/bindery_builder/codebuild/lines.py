"""Log output of a build in CodeBuild: one line of JSON per message, in the form that the log subscription filters for."""

from collections.abc import Iterator
from typing import TextIO

from bindery.domain.messages import LogLine, LogWritten, Message

MOST_BYTES = 12_000  # some log drivers cut lines over 16 kB


class Lines:
    """Sender that writes messages to a stream.

    Output of a build's step is inside a JSON string, so it cannot start a line of its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, message: Message, delay: float = 0) -> None:  # noqa: ARG002 - log lines cannot be delayed
        if isinstance(message, LogWritten):
            for lines in _pieces(message.lines):
                self._stream.write(message.model_copy(update={"lines": lines}).model_dump_json() + "\n")
            self._stream.flush()


def _pieces(lines: tuple[LogLine, ...]) -> Iterator[tuple[LogLine, ...]]:
    piece: list[LogLine] = []
    size = 0
    for line in lines:
        more = len(line.model_dump_json().encode()) + 1
        if piece and size + more > MOST_BYTES:
            yield tuple(piece)
            piece, size = [], 0
        piece.append(line)
        size += more
    if piece:
        yield tuple(piece)
