"""Quotas of sessions: counters in total, per repository, per owner and per client, split over shards to avoid hot keys.

A place is taken in the same transaction that writes its session, and freed in the transaction that ends the session.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bindery.domain.access_policy import Limits
from bindery.domain.clients import ClientKeys
from bindery.domain.errors import OwnerQuotaReached, QuotaReached, RepositoryQuotaReached, TooManySessions
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.due_index import pages

ROOM = 8
"""Number of places in one counter. It limits the sessions that write to one key at one time, for any total number of places."""
SHARDS = 1024
"""Number of counters if there is no limit."""
TRIES = 3
FREE_SECONDS = 86400
"""Lifetime of a counter without sessions."""
TOTAL = "places#total"


@dataclass(frozen=True)
class Quotas:
    """Counters of places. They are not written here: the methods return the items for the session's transaction."""

    table: Table
    clock: Clock

    def check(self, repo_url: str, limits: Limits, owner: str = "") -> None:
        """Raise QuotaReached, RepositoryQuotaReached or OwnerQuotaReached if there is no place now. It is also called before a build."""
        self.take(repo_url, limits, owner)

    def check_client(self, keys: ClientKeys, limits: Limits) -> None:
        """Raise TooManySessions if the client's keys of this epoch and the last one together reach the limit."""
        if limits.per_client is None:
            return
        items = (self.table.get(_of_client(key), _sk(0)) for key in (keys.now, keys.before) if key)
        if sum(int(item.data["taken"]) for item in items if item) >= limits.per_client:
            raise TooManySessions(limit=limits.per_client)

    def take(self, repo_url: str, limits: Limits, owner: str = "", client: str = "") -> list[Item]:
        """Return the counters with one more place taken, to be put in one transaction with the session.

        owner: of the repository. client: the client's key; empty: exempt. Raises as `check` and `check_client` do.
        """
        total = self._with_room(TOTAL, limits.total)
        if total is None:
            raise QuotaReached(limit=limits.total or 0)
        own = self._with_room(f"places#{repo_url}", limits.per_repository)
        if own is None:
            raise RepositoryQuotaReached(limit=limits.per_repository or 0, url=repo_url)
        return [self._changed(item, 1) for item in (total, own, *self._of_shares(limits, owner, client))]

    def _of_shares(self, limits: Limits, owner: str, client: str) -> Iterator[Item]:
        """Yield the counters of the owner and of the client if they have limits. Without a limit, no counter is written."""
        if owner and limits.per_owner is not None:
            item = self._with_room(f"places#owner#{owner}", limits.per_owner)
            if item is None:
                raise OwnerQuotaReached(limit=limits.per_owner, owner=owner)
            yield item
        if client and limits.per_client is not None:
            pk, sk = _of_client(client), _sk(0)
            item = self.table.get(pk, sk) or Item(pk, sk, {"taken": 0})
            if int(item.data["taken"]) >= limits.per_client:
                raise TooManySessions(limit=limits.per_client)
            yield item

    def give_back(self, places: tuple[tuple[str, str], ...]) -> list[Item]:
        """Return the counters with one place freed, to be put in one transaction with the session that ends."""
        items = (self.table.get(pk, sk) for pk, sk in places)
        return [self._changed(item, -1) for item in items if item]

    def taken(self) -> int:
        """Return the total number of places taken."""
        return sum(int(item.data["taken"]) for item in pages(self.table, TOTAL))

    def counters(self) -> Iterator[Item]:
        """Yield the shards of the total, for reconcile's recount."""
        return pages(self.table, TOTAL)

    def _with_room(self, pk: str, limit: int | None) -> Item | None:
        """Return a counter with a free place: try a few at random, then search all of them. None if all are full."""
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


def _of_client(key: str) -> str:
    """Return the key of a client's counter. It has no shards, because only the client's own sessions write to it."""
    return f"places#client#{key}"


def _shards(limit: int | None) -> int:
    return SHARDS if limit is None else max(1, -(-limit // ROOM))


def _sk(shard: int) -> str:
    return f"{shard:05d}"


def _has_room(item: Item, limit: int) -> bool:
    """Return whether a counter has a free place. The limit is divided evenly between the counters."""
    shards = _shards(limit)
    return int(item.data["taken"]) < limit // shards + (int(item.sk) < limit % shards)
