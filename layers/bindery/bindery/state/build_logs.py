"""Logs of build attempts, in chunks: the last line's number is the key, so a chunk that comes twice is written once,
and whoever read up to any line finds the chunk that holds the next."""

from dataclasses import dataclass

from bindery.domain.errors import Stale
from bindery.domain.messages import LogLine
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

KEPT_SECONDS = 7 * 86400
TAIL_LINES = 100


@dataclass(frozen=True)
class BuildLogs:
    """Written by whoever hears from the build; read by every stream that waits for it."""

    table: Table
    clock: Clock

    def append(self, key: str, attempt: int, lines: tuple[LogLine, ...]) -> None:
        """Keeps a chunk of lines."""
        data = {"lines": [[line.number, line.phase, line.message] for line in lines]}
        until = self.clock.now() + KEPT_SECONDS
        try:
            self.table.put(Item(f"build#{key}#{attempt}", _sk(lines[-1].number), data, expires_at=until))
        except Stale:
            return

    def read(self, key: str, attempt: int, after: int) -> list[LogLine]:
        """Lines numbered above `after`, at most a page."""
        items = self.table.query(f"build#{key}#{attempt}", "log#", _sk(after) if after >= 0 else "", 100)
        lines = [LogLine(number=n, phase=phase, message=m) for item in items for n, phase, m in item.data["lines"]]
        return [line for line in lines if line.number > after]

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
