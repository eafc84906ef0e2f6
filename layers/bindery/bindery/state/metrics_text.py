"""The text of /metrics as it was rendered last: one item, written by a timer and read by every request."""

from dataclasses import dataclass

from bindery.domain.errors import Stale
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

PK, SK = "metrics", "text"


@dataclass(frozen=True)
class MetricsText:
    """seconds: how long a rendering counts. An older one is not shown: its numbers would look like those of a system at rest."""

    table: Table
    clock: Clock
    seconds: float

    def put(self, text: str, at: float) -> None:
        """Store a rendering. at: UTC seconds from before the first number was read. A rendering that was stored meanwhile stays."""
        stored = self.table.get(PK, SK) or Item(PK, SK)
        try:
            self.table.put(Item(PK, SK, {"text": text, "at": at}, stored.version, expires_at=at + self.seconds))
        except Stale:
            return

    def get(self) -> str | None:
        """The last rendering; None if there is none, or it is too old."""
        stored = self.table.get(PK, SK)
        return stored.data["text"] if stored and (stored.expires_at or 0) > self.clock.now() else None
