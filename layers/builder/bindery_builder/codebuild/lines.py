"""The log's way out of CodeBuild: a line of JSON for each message, which its log subscription knows by its form."""

from collections.abc import Iterator
from typing import TextIO

from bindery.domain.messages import LogLine, LogWritten, Message

MOST_BYTES = 12_000  # some log drivers cut what is longer than 16 kB


class Lines:
    """A port for single messages, onto a stream. What a build's step prints is inside a JSON string: it cannot begin a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, message: Message, delay: float = 0) -> None:  # noqa: ARG002 - a log's lines cannot be put off
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
