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

ROOM = 8
"""Places in one counter: how many sessions may write to the same key at one time, however many there may be in all."""
SHARDS = 1024
"""Counters where there is no limit."""
TRIES = 3
FREE_SECONDS = 86400
"""How long a counter without any session is kept."""
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
        """A counter with a place: by luck as long as most have one, else from the list of all."""
        shards = _shards(limit)
        for _ in range(TRIES if limit else 1):
            sk = _sk(self.clock.pick(shards))
            item = self.table.get(pk, sk) or Item(pk, sk, {"taken": 0})
            if limit is None or _has_room(item, limit):
                return item
        taken = {item.sk: item for item in pages(self.table, pk)}
        places = (taken.get(_sk(n)) or Item(pk, _sk(n), {"taken": 0}) for n in range(shards))
        free = [item for item in places if _has_room(item, limit or 0)]
        return free[self.clock.pick(len(free))] if free else None

    def _changed(self, item: Item, by: int) -> Item:
        taken = max(0, int(item.data["taken"]) + by)
        return replace(item, data={"taken": taken}, expires_at=None if taken else self.clock.now() + FREE_SECONDS)


def _shards(limit: int | None) -> int:
    return SHARDS if limit is None else max(1, -(-limit // ROOM))


def _sk(shard: int) -> str:
    return f"{shard:05d}"


def _has_room(item: Item, limit: int) -> bool:
    """The limit is spread evenly over its counters."""
    shards = _shards(limit)
    return int(item.data["taken"]) < limit // shards + (int(item.sk) < limit % shards)
