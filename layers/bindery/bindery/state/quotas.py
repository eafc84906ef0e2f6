"""How many sessions there are, in all and of one repository: counters split over shards, so that no key is hot.

A place is taken in the same transaction that writes its session, and given back in the one that ends it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bindery.domain.errors import QuotaReached, RepositoryQuotaReached
from bindery.domain.rules import Limits
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.shards import pages

SHARDS = 16
TOTAL = "places#total"


@dataclass(frozen=True)
class Quotas:
    """Counts places; never writes by itself, but answers the items that belong into the session's transaction."""

    table: Table
    clock: Clock

    def check(self, repo_url: str, limits: Limits) -> None:
        """Whether there is a place now; asked before building too. Raises QuotaReached, RepositoryQuotaReached."""
        self.take(repo_url, limits)

    def take(self, repo_url: str, limits: Limits) -> list[Item]:
        """The counters with one place more, to be put together with the session. Raises as `check` does."""
        total = self._with_room(TOTAL, limits.total)
        if total is None:
            raise QuotaReached(limit=limits.total or 0)
        own = self._with_room(f"places#{repo_url}", limits.per_repository)
        if own is None:
            raise RepositoryQuotaReached(limit=limits.per_repository or 0, url=repo_url)
        return [self._changed(total, 1), self._changed(own, 1)]

    def give_back(self, places: tuple[tuple[str, str], ...]) -> list[Item]:
        """The counters with one place less, to be put together with the session that ends."""
        items = (self.table.get(pk, sk) for pk, sk in places)
        return [self._changed(item, -1) for item in items if item]

    def taken(self) -> int:
        """Places taken in all."""
        return sum(int(item.data["taken"]) for item in pages(self.table, TOTAL))

    def counters(self) -> Iterator[Item]:
        """The total's shards, for reconcile's recount."""
        return pages(self.table, TOTAL)

    def _with_room(self, pk: str, limit: int | None) -> Item | None:
        shards = SHARDS if limit is None else max(1, min(SHARDS, limit))
        first = self.clock.pick(shards)
        for n in range(shards):
            shard = (first + n) % shards
            room = None if limit is None else limit // shards + (shard < limit % shards)
            item = self.table.get(pk, f"{shard:02d}") or Item(pk, f"{shard:02d}", {"taken": 0})
            if room is None or int(item.data["taken"]) < room:
                return item
        return None

    @staticmethod
    def _changed(item: Item, by: int) -> Item:
        return replace(item, data={"taken": max(0, int(item.data["taken"]) + by)})
