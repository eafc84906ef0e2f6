"""Counters behind /metrics. No function remembers, so they live in the table, split over shards."""

from collections import defaultdict
from dataclasses import dataclass, replace

from bindery.domain.errors import Stale, Throttled
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.shards import pages

SHARDS = 16
CONFLICTS = 5
LONGEST_LABEL = 200

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Counters:
    """Sums, by name and labels. Losing one to trouble is better than failing what is counted."""

    table: Table
    clock: Clock

    def add(self, name: str, by: float = 1, **labels: str) -> None:
        """Adds `by` to the sum of this name and these labels."""
        sk = "\x1f".join((name, *(f"{key}={value[:LONGEST_LABEL]}" for key, value in sorted(labels.items()))))
        for _ in range(CONFLICTS):
            try:
                pk = _pk(self.clock.pick(SHARDS))
                item = self.table.get(pk, sk) or Item(pk, sk, {"sum": 0})
                self.table.put(replace(item, data={"sum": item.data["sum"] + by}))
            except (Stale, Throttled):
                continue
            return

    def observe(self, name: str, value: float, bounds: tuple[float, ...], **labels: str) -> None:
        """Counts `value` into a histogram: its first bucket that holds it, and the sum."""
        bucket = next((f"{bound:g}" for bound in bounds if value <= bound), "+Inf")
        self.add(f"{name}_bucket", 1, le=bucket, **labels)
        self.add(f"{name}_sum", value, **labels)

    def read(self) -> dict[str, dict[Labels, float]]:
        """Every sum, by name, then by labels."""
        sums: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        for shard in range(SHARDS):
            for item in pages(self.table, _pk(shard)):
                name, *labels = item.sk.split("\x1f")
                sums[name][tuple((k, v) for k, _, v in (label.partition("=") for label in labels))] += item.data["sum"]
        return sums


def _pk(shard: int) -> str:
    return f"counters#{shard:02d}"
