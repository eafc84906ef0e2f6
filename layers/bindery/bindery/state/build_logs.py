"""Logs of build attempts, stored in chunks. The key of a chunk is the number of its last line.

A chunk that is delivered twice is therefore stored once, and a reader finds the next chunk after any line.
Chunks may arrive out of order: CloudWatch delivers them asynchronously. A reader's cursor is a line number, so a reader that
skips a missing chunk would never show it. Lines are numbered without gaps, so a missing chunk can be detected.
"""

from dataclasses import dataclass

from bindery.domain.errors import Stale
from bindery.domain.messages import LogLine
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

KEPT_SECONDS = 7 * 86400
GAP_SECONDS = 10.0
"""Time that readers wait for a missing chunk after the next chunk has arrived. After this time the chunk counts as lost."""
TAIL_LINES = 100


@dataclass(frozen=True)
class BuildLogs:
    """Store of build logs. The handlers of log messages write it; every event stream that waits for the build reads it."""

    table: Table
    clock: Clock

    def append(self, key: str, attempt: int, lines: tuple[LogLine, ...]) -> None:
        """Store a chunk of lines."""
        now = self.clock.now()
        data = {"lines": [[line.number, line.phase, line.message] for line in lines], "at": now}
        try:
            item = Item(f"build#{key}#{attempt}", _sk(lines[-1].number), data, expires_at=now + KEPT_SECONDS)
            self.table.put(item)
        except Stale:
            return

    def read(self, key: str, attempt: int, after: int, gap_seconds: float = GAP_SECONDS) -> list[LogLine]:
        """Return lines numbered above `after`, at most a page, up to the first chunk that is missing.

        gap_seconds: how long to wait for a missing chunk. 0: no wait, for the last read of a reader.
        """
        items = self.table.query(f"build#{key}#{attempt}", "log#", _sk(after) if after >= 0 else "", 100)
        lines: list[LogLine] = []
        for item in items:
            chunk = [LogLine(number=n, phase=phase, message=m) for n, phase, m in item.data["lines"]]
            follows = chunk[0].number <= (lines[-1].number if lines else after) + 1
            if not follows and self.clock.now() - item.data["at"] < gap_seconds:
                break
            lines += [line for line in chunk if line.number > after]
        return lines

    def tail_start(self, key: str, attempt: int) -> int:
        """Return the number of the line before the last 100 lines; -1 for all lines. It takes a few small reads for any length."""
        low, high = -1, TAIL_LINES - 1
        while self._goes_on(key, attempt, high):
            low, high = high, 4 * high
        if low < 0:
            return -1
        while high - low > 1:
            middle = (low + high) // 2
            if self._goes_on(key, attempt, middle):
                low = middle
            else:
                high = middle
        return low + 1 - TAIL_LINES

    def _goes_on(self, key: str, attempt: int, number: int) -> bool:
        """Return whether the log has lines after this number."""
        return bool(self.table.query(f"build#{key}#{attempt}", "log#", _sk(number), 1))


def _sk(number: int) -> str:
    return f"log#{number:09d}"
