"""The last rendered text of /metrics: one item, written by a timer and read by every request."""

from dataclasses import dataclass

from bindery.domain.errors import Stale
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

PK, SK = "metrics", "text"


@dataclass(frozen=True)
class MetricsText:
    """Store of the rendered metrics.

    seconds: lifetime of a rendering. An older one is not shown, because its constant numbers would look like those of an idle system.
    """

    table: Table
    clock: Clock
    seconds: float

    def put(self, text: str, at: float) -> None:
        """Store a rendering. at: UTC seconds before the first number was read. A rendering that was stored meanwhile stays."""
        stored = self.table.get(PK, SK) or Item(PK, SK)
        try:
            self.table.put(Item(PK, SK, {"text": text, "at": at}, stored.version, expires_at=at + self.seconds))
        except Stale:
            return

    def get(self) -> str | None:
        """Return the last rendering; None if it is missing or too old."""
        stored = self.table.get(PK, SK)
        return stored.data["text"] if stored and (stored.expires_at or 0) > self.clock.now() else None
