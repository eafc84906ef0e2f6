"""The repositories with the most launches of a day, in one item of bounded size for any number of names in requests.

The day's candidates are counted with the space-saving algorithm (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent
and Top-k Elements in Data Streams", 2005): a new name replaces the candidate with the lowest count, and inherits this count as
its error. Only counts minus errors decide which names are shown, so a flood of names with one launch each shows none of these names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.counters import LONGEST_LABEL, Labels, labels_of, named

SHOWN = 20
"""Number of repositories that are shown at one time."""
CANDIDATES = 100
KEPT_SECONDS = 2 * 86400
OTHER = "other"
"""Label of all launches of repositories that are not shown."""


@dataclass
class Day:
    """Counts of one day, changed in memory and stored with `item`.

    candidates: repository -> [count, error]. rows: a sum's key, as `named` makes it -> launches counted while it was shown.
    """

    stored: Item
    candidates: dict[str, list[int]] = field(default_factory=dict)
    rows: dict[str, float] = field(default_factory=dict)

    def count(self, repository: str, name: str, **labels: str) -> bool:
        """Count a launch of a public repository. Return True if the repository is shown; the launch is counted in its row then.

        repository: its address for people, cut to 200 characters.
        """
        repository = repository[:LONGEST_LABEL]
        self._see(repository)
        if repository not in self.shown():
            return False
        row = named(name, repo=repository, **labels)
        self.rows[row] = self.rows.get(row, 0) + 1
        return True

    def shown(self) -> frozenset[str]:
        """Return the repositories with the most launches of the day."""
        sure = {name: count - error for name, (count, error) in self.candidates.items()}
        return frozenset(sorted(sure, key=lambda name: (-sure[name], name))[:SHOWN])

    def sums(self) -> Mapping[str, Mapping[Labels, float]]:
        """Return the rows of the shown repositories, in the form of `Counters.read`."""
        repositories, sums = self.shown(), dict[str, dict[Labels, float]]()
        for row, count in self.rows.items():
            name, labels = labels_of(row)
            if dict(labels)["repo"] in repositories:
                sums.setdefault(name, {})[labels] = count
        return sums

    @property
    def item(self) -> Item:
        """Return the item to put. Rows of repositories that are no longer shown are left out."""
        rows = {
            named(name, **dict(labels)): count for name, sums in self.sums().items() for labels, count in sums.items()
        }
        return replace(self.stored, data={"candidates": self.candidates, "rows": rows})

    def _see(self, repository: str) -> None:
        if repository in self.candidates:
            self.candidates[repository][0] += 1
            return
        error = 0
        if len(self.candidates) >= CANDIDATES:
            least = min(self.candidates, key=lambda name: (self.candidates[name][0], name))
            error = self.candidates.pop(least)[0]
        self.candidates[repository] = [error + 1, error]


@dataclass(frozen=True)
class Popular:
    """Store of the daily counts: one item for each UTC day. It expires two days after its last change."""

    table: Table
    clock: Clock

    def today(self) -> Day:
        """Return the day's counts as they are stored now."""
        now = self.clock.now()
        pk = f"popular#{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
        stored = replace(self.table.get(pk, "day") or Item(pk, "day"), expires_at=now + KEPT_SECONDS)
        candidates = {name: list(counts) for name, counts in stored.data.get("candidates", {}).items()}
        return Day(stored, candidates, dict(stored.data.get("rows", {})))
