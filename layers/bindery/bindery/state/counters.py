"""Counters for /metrics. Functions keep no state between calls, so the counters are in the table, split over shards."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bindery.domain.errors import Stale, Throttled
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.due_index import pages

SHARDS = 16
CONFLICTS = 5
LONGEST_LABEL = 200

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Counters:
    """Sums, by name and labels.

    If the table fails, `add` loses the addition, so that the counted operation does not fail. `with_more` loses no addition.
    """

    table: Table
    clock: Clock

    def add(self, name: str, by: float = 1, **labels: str) -> None:
        """Add `by` to the sum of this name and these labels."""
        self._add(named(name, **labels), by)

    def _add(self, key: str, by: float) -> None:
        for _ in range(CONFLICTS):
            try:
                (item,) = self.with_more({key: by})
                self.table.put(item)
            except (Stale, Throttled):
                continue
            return

    def observe(self, name: str, value: float, bounds: tuple[float, ...], **labels: str) -> None:
        """Add `value` to a histogram: to the first bucket that contains it, and to the sum."""
        for key, by in observed(name, value, bounds, **labels):
            self._add(key, by)

    def with_more(self, sums: Mapping[str, float]) -> list[Item]:
        """Return the counters with these sums added. The caller puts them in one transaction with the counted items.

        Each of these items is then counted exactly once.
        """
        pk = _pk(self.clock.pick(SHARDS))
        items = (self.table.get(pk, key) or Item(pk, key, {"sum": 0}) for key in sums)
        return [replace(item, data={"sum": item.data["sum"] + sums[item.sk]}) for item in items]

    def read(self) -> dict[str, dict[Labels, float]]:
        """Return every sum, by name, then by labels."""
        sums: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        for shard in range(SHARDS):
            for item in pages(self.table, _pk(shard)):
                name, labels = labels_of(item.sk)
                sums[name][labels] += item.data["sum"]
        return sums


def named(name: str, **labels: str) -> str:
    """Return the key of a sum."""
    return "\x1f".join((name, *(f"{key}={value[:LONGEST_LABEL]}" for key, value in sorted(labels.items()))))


def labels_of(key: str) -> tuple[str, Labels]:
    """Return a sum's name and labels from the key that `named` made."""
    name, *labels = key.split("\x1f")
    return name, tuple((label, value) for label, _, value in (each.partition("=") for each in labels))


def observed(name: str, value: float, bounds: tuple[float, ...], **labels: str) -> Iterator[tuple[str, float]]:
    """Yield the keys and additions of an observation in a histogram: 1 to the first bucket that contains it, its value to the sum."""
    bucket = next((f"{bound:g}" for bound in bounds if value <= bound), "+Inf")
    yield named(f"{name}_bucket", le=bucket, **labels), 1
    yield named(f"{name}_sum", **labels), value


def _pk(shard: int) -> str:
    return f"counters#{shard:02d}"
