"""Build log: cleans lines, limits their number and sends them to the queue in batches."""

import re
import time
from collections import deque

from bindery.domain.errors import Retryable
from bindery.domain.messages import LogLine, LogWritten
from bindery.ports.queue import Sender
from bindery_builder.terminal_text import plain

LINE_CHARACTERS = 2_000
MOST_LINES = 5_000
MOST_CHARACTERS = 1_000_000
LAST_LINES = 40
_REMEMBERED_LINES = 400  # for the reason of a failure: a resolver's explanation can be long
EVERY_SECONDS = 0.1
_BATCH_LINES = 500
_BATCH_CHARACTERS = 60_000

UNSOLVABLE = "No solution found"
"""Text in the first line of uv's explanation of a conflict."""
_CREDENTIALS = re.compile(r"(://)[^/\s@]+@")


class BuildLog:
    """Log lines of one attempt. Used by one thread.

    hidden: a folder that is removed from paths in the lines. every: seconds between sends. last: the last lines of the present command.
    unsolvable: True if one of its lines says that its requirements conflict; an explanation may be longer than `last`.

    After MOST_LINES lines or MOST_CHARACTERS characters, the middle is dropped and a line states how many lines were dropped. The
    last lines always arrive.
    """

    def __init__(
        self, queue: Sender, environment: str, attempt: int, hidden: str = "", *, every: float = EVERY_SECONDS
    ) -> None:
        self._every = every
        self._queue, self._environment, self._attempt, self._hidden = queue, environment, attempt, hidden
        self._phase = "fetching"
        self._number = self._characters = self._left_out = 0
        self._partial = b""
        self._ready: list[LogLine] = []
        self._ending: deque[str] = deque(maxlen=LAST_LINES)
        self._sent_at = 0.0
        self.last: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self.unsolvable = False

    def begin_command(self) -> None:
        """Forget the last lines of the command before."""
        self.last.clear()
        self.unsolvable = False

    def say(self, text: str, phase: str = "") -> None:
        """Write a line of Bindery's own."""
        self.end_line()
        self._phase = phase or self._phase
        self._line(text)
        self.tick()

    def feed(self, chunk: bytes) -> None:
        """Write bytes that a process printed."""
        *whole, partial = (self._partial + chunk).split(b"\n")
        # Beyond the limit only the last lines are kept: a regular expression for each line of 100 MB is too slow.
        if self._full and len(whole) > LAST_LINES:
            self._left_out += len(whole) - LAST_LINES
            whole = whole[-LAST_LINES:]
        for line in whole:
            self._line(_as_displayed(line))
        self._partial = _shortened(partial)
        self.tick()

    def end_line(self) -> None:
        """Write the last line of an ended process even without a line end."""
        if self._partial:
            self._line(_as_displayed(self._partial))
            self._partial = b""

    def tick(self) -> None:
        """Send the pending lines unless the last send was less than the interval ago."""
        if self._ready and time.monotonic() - self._sent_at >= self._every:
            self._send()

    def close(self) -> None:
        self.end_line()
        ending = list(self._ending)
        self._ending.clear()
        if self._left_out > len(ending):
            self._add(f"... {self._left_out - len(ending)} lines left out ...")
        for line in ending:
            self._add(line)
        self._send()

    @property
    def _full(self) -> bool:
        return self._number >= MOST_LINES - LAST_LINES - 1 or self._characters >= MOST_CHARACTERS

    def _line(self, text: str) -> None:
        if self._hidden:
            text = text.replace(self._hidden + "/", "")
        text = _CREDENTIALS.sub(r"\1", text)
        if text.strip():
            self.last.append(text)
        self.unsolvable = self.unsolvable or UNSOLVABLE in text
        if self._full:
            self._left_out += 1
            self._ending.append(text)
        else:
            self._add(text)

    def _add(self, text: str) -> None:
        self._ready.append(LogLine(number=self._number, phase=self._phase, message=text + "\n"))
        self._number += 1
        self._characters += len(text) + 1

    def _send(self) -> None:
        """Send the pending lines. Lines that the queue rejects are sent again with the next ones."""
        self._sent_at = time.monotonic()
        while self._ready:
            lines = _batch(self._ready)
            try:
                self._queue.send(LogWritten(environment=self._environment, attempt=self._attempt, lines=lines))
            except Retryable:
                return
            del self._ready[: len(lines)]


def _batch(ready: list[LogLine]) -> tuple[LogLine, ...]:
    characters = 0
    for count, line in enumerate(ready[:_BATCH_LINES]):
        characters += len(line.message)
        if count and characters > _BATCH_CHARACTERS:
            return tuple(ready[:count])
    return tuple(ready[:_BATCH_LINES])


def _shortened(partial: bytes) -> bytes:
    """Return an unfinished line, cut to the limit of a finished one. A progress bar keeps only its last state."""
    if b"\r" in partial[:-1]:
        partial = partial[partial[:-1].rfind(b"\r") + 1 :]
    return partial[: LINE_CHARACTERS * 4]


def _as_displayed(line: bytes) -> str:
    """Return the text that a terminal would show for the line, at most LINE_CHARACTERS."""
    text = (
        line[-LINE_CHARACTERS * 8 :].decode(errors="replace")
        if b"\r" in line
        else line[: LINE_CHARACTERS * 4].decode(errors="replace")
    )
    text = text.rstrip("\r").rpartition("\r")[2]
    return plain(text)[:LINE_CHARACTERS]
