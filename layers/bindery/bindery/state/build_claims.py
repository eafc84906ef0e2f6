"""Limits of the builds in the queue, per client and per owner's share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bindery.domain.environment import Environment
from bindery.domain.errors import OwnerBuildsReached, TooManyBuilds
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.build_slots import BuildSlots
from bindery.state.environments import Environments

KEPT_SECONDS = 86400


@dataclass(frozen=True)
class BuildClaims:
    """Records of the build attempts that each client and each owner has claimed.

    Each client and each owner has one item with its last claimed attempts. It is written with the claim, in one transaction,
    so that concurrent claims are all counted. Ended attempts are removed only when the item is full.

    per_client, per_owner: limits of attempts in the queue. None: no limit, and the item is neither read nor written.
    """

    table: Table
    clock: Clock
    environments: Environments
    slots: BuildSlots
    per_client: int | None = None
    per_owner: int | None = None

    def room_for(self, client: str, owner: str) -> Callable[[str, int], list[Item]]:
        """Return a function that makes the items to be written with a claim, from its environment's key and attempt.

        client: empty if exempt. owner: the name of the owner's share. The function raises TooManyBuilds, OwnerBuildsReached.
        """

        def room(key: str, attempt: int) -> list[Item]:
            return list(self._items(client, owner, [key, attempt])) if client else []

        return room

    def _items(self, client: str, owner: str, claim: list[object]) -> Iterator[Item]:
        if self.per_client is not None:
            item = self._with(f"client#{client}", claim, self.per_client)
            if item is None:
                raise TooManyBuilds(limit=self.per_client)
            yield item
        if self.per_owner is not None:
            item = self._with(f"owner#{owner}", claim, self.per_owner)
            if item is None:
                raise OwnerBuildsReached(limit=self.per_owner, owner=owner)
            yield item

    def _with(self, pk: str, claim: list[object], limit: int) -> Item | None:
        """Return the item with one more claim; None if the limit of waiting attempts is reached."""
        item = self.table.get(pk, "builds") or Item(pk, "builds", {"claims": []})
        claims = list(item.data["claims"])
        if len(claims) >= limit:
            claims = [[key, attempt] for key, attempt in claims if self._waits(key, attempt)]
        if len(claims) >= limit:
            return None
        until = self.clock.now() + KEPT_SECONDS
        return Item(pk, "builds", {"claims": [*claims, claim]}, item.version, expires_at=until)

    def _waits(self, key: str, attempt: int) -> bool:
        """Return whether the attempt has not ended and has no slot yet: it is in the queue, or will enter it."""
        environment = self.environments.find(key)
        return _is_making(environment, attempt) and not self.slots.has(key, attempt)


def _is_making(environment: Environment | None, attempt: int) -> bool:
    return environment is not None and environment.is_making(attempt)
