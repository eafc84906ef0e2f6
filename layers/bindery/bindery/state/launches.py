"""Launches in the table."""

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
"""Launches in one transaction: 25 of the longest addresses and all their events stay far below a transaction's 4 MB."""


def counted(item: Item) -> Item:
    """The item of an ended launch once it is counted: nothing is due any more."""
    return replace(item, due_shard=None, due_at=None)


def key_of(launch: str) -> str:
    """Where a launch's item is."""
    return f"launch#{launch}"


@dataclass(frozen=True)
class Launches:
    """Each launch is one item, changed only by conditional puts. It stays due until it has ended, and then until it is counted."""

    table: Table
    clock: Clock

    def create(self, launch: Launch) -> tuple[Launch, bool]:
        """The launch, and whether it is new: one of that id that exists already stays as it is."""
        try:
            self.table.put(self.item(launch))
        except Stale:
            return self.get(launch.id), False
        return launch, True

    def find(self, launch: str) -> Launch | None:
        """The launch, or None; consistent."""
        item = self.table.get(key_of(launch), "launch")
        return Launch.model_validate(item.data) if item else None

    def get(self, launch: str) -> Launch:
        """The launch. Raises LaunchNotFound."""
        found = self.find(launch)
        if found is None:
            raise LaunchNotFound
        return found

    def change(self, launch: str, change: Callable[[Launch], Launch | None]) -> Launch | None:
        """Applies `change` to the launch as it is now; None from it means: leave it. Answers what was written, or None."""
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
        """Return those of up to 100 launches that exist, each with its item for `change_all`; each read consistently."""
        items = self.table.get_all([(key_of(launch), "launch") for launch in launches])
        return [(item, Launch.model_validate(item.data)) for item in items]

    def change_all(
        self, read: Sequence[tuple[Item, Launch]], change: Callable[[Launch], Launch | None]
    ) -> list[Launch]:
        """Apply `change` to launches that `find_all` returned, a few in one transaction; return what was written.

        One of them that changed meanwhile stops its transaction: then each is read again and changed by itself.
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
        """The item beside the launch, for transactions. Raises LaunchNotFound."""
        item = self.table.get(key_of(launch), "launch")
        if item is None:
            raise LaunchNotFound
        return item, Launch.model_validate(item.data)

    def item(self, launch: Launch, version: int = 0) -> Item:
        """What is stored for a launch: due again when its stage has had its time, or at its deadline."""
        item = Item(key_of(launch.id), "launch", launch.model_dump(mode="json"), version)
        if launch.ended:
            at = launch.ended_at or self.clock.now()
            return replace(item, due_shard=due_shard("ended", launch.id), due_at=at, expires_at=at + KEPT_SECONDS)
        at = min(self.clock.now() + self._patience(launch), launch.deadline)
        return replace(item, due_shard=due_shard("launch", launch.id), due_at=at)

    def _patience(self, launch: Launch) -> float:
        """A build tells those who wait when it ends: the longer it takes, the rarer somebody looks whether it did."""
        waited = self.clock.now() - launch.stage_since if launch.stage is Stage.BUILDING else 0
        return max(PATIENCE_SECONDS, waited)

    def due(self, ahead: float = 0, limit: int = 100) -> Iterator[Launch]:
        """Launches whose stage has had its time; nominated, not decided."""
        for item in due(self.table, "launch", self.clock.now() + ahead, limit):
            yield Launch.model_validate(item.data)

    def uncounted(self, limit: int = 500) -> Iterator[tuple[Item, Launch]]:
        """Launches that ended and stand in no sum yet; to be put back as `counted` in one transaction with the sums."""
        for item in due(self.table, "ended", FOREVER, limit):
            yield item, Launch.model_validate(item.data)

    def unended(self, limit: int = 1000) -> Iterator[Launch]:
        """Launches under way, for gauges."""
        for item in due(self.table, "launch", FOREVER, limit):
            yield Launch.model_validate(item.data)
