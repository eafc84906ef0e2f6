"""Store of launches in the table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bindery.domain.errors import LaunchNotFound, Stale, Throttled
from bindery.domain.launch import Launch, Stage
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.due_index import FOREVER, due, due_shard

KEPT_SECONDS = 14 * 86400
PATIENCE_SECONDS = 60
CONFLICTS = 12
MOST_CHANGES = 25
"""Limit of launches in one transaction: 25 launches with the longest addresses and all events stay far below its 4 MB."""


def counted(item: Item) -> Item:
    """Return the item of an ended launch after it was counted: it is not due any more."""
    return replace(item, due_shard=None, due_at=None)


def key_of(launch: str) -> str:
    """Return the key of a launch's item."""
    return f"launch#{launch}"


@dataclass(frozen=True)
class Launches:
    """Store of launches. Each launch is one item, changed only by conditional puts. It stays due until it has ended and was counted."""

    table: Table
    clock: Clock

    def create(self, launch: Launch) -> tuple[Launch, bool]:
        """Store a launch. Return it, and True if it is new. An existing launch with this id stays unchanged and is returned."""
        try:
            self.table.put(self.item(launch))
        except Stale:
            return self.get(launch.id), False
        return launch, True

    def find(self, launch: str) -> Launch | None:
        """Return the launch or None, with a consistent read."""
        item = self.table.get(key_of(launch), "launch")
        return Launch.model_validate(item.data) if item else None

    def get(self, launch: str) -> Launch:
        """Return the launch. Raises LaunchNotFound."""
        record = self.find(launch)
        if record is None:
            raise LaunchNotFound
        return record

    def change(self, launch: str, change: Callable[[Launch], Launch | None]) -> Launch | None:
        """Apply `change` to the current launch and return the written launch; None if `change` returns None, for no change.

        Raises LaunchNotFound, Stale.
        """
        for _ in range(CONFLICTS):
            item, now = self.read(launch)
            changed = change(now)
            if changed is None:
                return None
            try:
                self.table.put(self.item(changed, item.version))
            except Stale:
                continue
            return changed
        raise Stale

    def find_all(self, launches: Sequence[str]) -> list[tuple[Item, Launch]]:
        """Return the launches that exist for up to 100 ids, each with its item for `change_all`. Each read is consistent."""
        items = self.table.get_all([(key_of(launch), "launch") for launch in launches])
        return [(item, Launch.model_validate(item.data)) for item in items]

    def change_all(
        self, read: Sequence[tuple[Item, Launch]], change: Callable[[Launch], Launch | None]
    ) -> list[Launch]:
        """Apply `change` to launches that `find_all` returned, a few in one transaction. Return the written launches.

        If one of them was changed meanwhile, its transaction fails. Each launch of it is then read again and changed separately.
        """
        written: list[Launch] = []
        pairs = [(item, changed) for item, launch in read if (changed := change(launch))]
        for start in range(0, len(pairs), MOST_CHANGES):
            some = pairs[start : start + MOST_CHANGES]
            try:
                self.table.transact([self.item(changed, item.version) for item, changed in some])
            except (Stale, Throttled):
                again = (self.change(changed.id, change) for _, changed in some)
                written += [each for each in again if each]
            else:
                written += [changed for _, changed in some]
        return written

    def read(self, launch: str) -> tuple[Item, Launch]:
        """Return the item and the launch, for transactions. Raises LaunchNotFound."""
        item = self.table.get(key_of(launch), "launch")
        if item is None:
            raise LaunchNotFound
        return item, Launch.model_validate(item.data)

    def item(self, launch: Launch, version: int = 0) -> Item:
        """Return the item of a launch. It is due again after the time of its stage, or at its deadline."""
        item = Item(key_of(launch.id), "launch", launch.model_dump(mode="json"), version)
        if launch.ended:
            at = launch.ended_at or self.clock.now()
            return replace(item, due_shard=due_shard("ended", launch.id), due_at=at, expires_at=at + KEPT_SECONDS)
        at = min(self.clock.now() + self._patience(launch), launch.deadline)
        return replace(item, due_shard=due_shard("launch", launch.id), due_at=at)

    def _patience(self, launch: Launch) -> float:
        """Return the seconds until the launch is checked again. A build notifies its waiters, so a long wait is checked less often."""
        waited = self.clock.now() - launch.stage_since if launch.stage is Stage.BUILDING else 0
        return max(PATIENCE_SECONDS, waited)

    def due(self, ahead: float = 0, limit: int = 100) -> Iterator[Launch]:
        """Yield due candidates: launches with an overdue stage. The caller checks each again."""
        for item in due(self.table, "launch", self.clock.now() + ahead, limit):
            yield Launch.model_validate(item.data)

    def uncounted(self, limit: int = 500) -> Iterator[tuple[Item, Launch]]:
        """Yield ended launches that are not counted yet. The caller puts them as `counted` in one transaction with the sums."""
        for item in due(self.table, "ended", FOREVER, limit):
            yield item, Launch.model_validate(item.data)

    def unended(self, limit: int = 1000) -> Iterator[Launch]:
        """Yield the launches that have not ended, for gauges."""
        for item in due(self.table, "launch", FOREVER, limit):
            yield Launch.model_validate(item.data)
