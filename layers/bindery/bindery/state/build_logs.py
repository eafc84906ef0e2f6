"""Logs of build attempts, in chunks: the last line's number is the key, so a chunk that comes twice is written once,
and whoever read up to any line finds the chunk that holds the next.

Chunks may arrive out of order: CloudWatch delivers them asynchronously. A reader's cursor is a line number, so a reader that
went past a missing chunk would never show it. Lines are numbered without holes, which makes a missing chunk visible.
"""

from dataclasses import dataclass

from bindery.domain.errors import Stale
from bindery.domain.messages import LogLine
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

KEPT_SECONDS = 7 * 86400
GAP_SECONDS = 10.0
"""So long readers wait for a missing chunk, from the arrival of the chunk behind it. After that it counts as lost."""
TAIL_LINES = 100


@dataclass(frozen=True)
class BuildLogs:
    """Written by whoever hears from the build; read by every stream that waits for it."""

    table: Table
    clock: Clock

    def append(self, key: str, attempt: int, lines: tuple[LogLine, ...]) -> None:
        """Keeps a chunk of lines."""
        now = self.clock.now()
        data = {"lines": [[line.number, line.phase, line.message] for line in lines], "at": now}
        try:
            item = Item(f"build#{key}#{attempt}", _sk(lines[-1].number), data, expires_at=now + KEPT_SECONDS)
            self.table.put(item)
        except Stale:
            return

    def read(self, key: str, attempt: int, after: int, gap_seconds: float = GAP_SECONDS) -> list[LogLine]:
        """Return lines numbered above `after`, at most a page, up to the first chunk that is missing.

        gap_seconds: how long a missing chunk is waited for; 0: not at all, as for a reader that will not come again.
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
        """The number after which the last 100 lines begin; -1 for all. A few small reads, however long the log."""
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
        """Whether there are lines after this one."""
        return bool(self.table.query(f"build#{key}#{attempt}", "log#", _sk(number), 1))


def _sk(number: int) -> str:
    return f"log#{number:09d}"
