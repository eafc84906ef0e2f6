"""Environments in the table: claims, waiters, attempts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bindery.domain.environment import Environment, EnvironmentState, Identity
from bindery.domain.errors import Stale, Throttled
from bindery.domain.failure import Failure
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.table import Delete, Item, Table
from bindery.state.due_index import FOREVER, due, due_shard, shard_of, whole_pages

BUILDING, READY = EnvironmentState.BUILDING, EnvironmentState.READY
WAITER_SHARDS = 8
LOOK_AGAIN_SECONDS = 60
WAITERS_KEPT_SECONDS = 86400
ATTEMPTS_KEPT_SECONDS = 7 * 86400
DAY_SECONDS = 86400


@dataclass(frozen=True)
class Waiter:
    """A launch that waits for a build, as it was read."""

    launch: str
    item: Item


@dataclass(frozen=True)
class Started:
    """An attempt that the build service was told to make. at: UTC seconds. unwanted: its stop was decided, as no launch waited."""

    handle: str
    at: float
    unwanted: bool = False


@dataclass(frozen=True)
class Environments:
    """One item per environment, written a few times per build and once a day however many launches want it; waiters beside it in shards.

    oldest_image_seconds: an older image is not used any more; 0: whatever its age. day_seconds: a day, longer than any launch takes.
    """

    table: Table
    clock: Clock
    oldest_image_seconds: float = 0
    day_seconds: float = DAY_SECONDS

    def find(self, key: str) -> Environment | None:
        """The environment as it is now; consistent."""
        item = self.table.get(f"environment#{key}", "environment")
        return Environment.model_validate(item.data) if item else None

    def usable(self, key: str, usable: Callable[[str], bool]) -> Environment | None:
        """Return the environment if it builds or if its image is usable, else None."""
        while True:
            item, now = self._read(key)
            with suppress(Stale):
                return now if item and now and self._is_usable(item, now, usable) else None

    def claim(
        self,
        identity: Identity,
        repository: Repository,
        launch: str,
        usable: Callable[[str], bool],
        *,
        prebuild: bool = False,
        client: str = "",
        room: Callable[[str, int], list[Item]] | None = None,
    ) -> Environment:
        """The environment as it is, if it builds or its image is usable; else its next attempt, now claimed for `launch`.

        room: makes what is to be written together with the claim of an attempt; raises if the attempt may not be claimed.
        Raises ValueError if the environment may not be built from this commit.
        """
        if not identity.may_be_built_from(repository):
            raise ValueError(f"{repository.ref} may not build the environment {identity.key}")
        while True:
            item, now = self._read(identity.key)
            try:
                if item and now and self._is_usable(item, now, usable):
                    return now
            except Stale:
                continue
            claimed = Environment(
                key=identity.key,
                scope=identity.scope,
                inputs=identity.inputs,
                state=BUILDING,
                attempt=now.attempt + 1 if now else 1,
                claimed_by=launch,
                claimed_at=self.clock.now(),
                repository=repository,
                prebuild=prebuild,
                client=client,
            )
            shares = room(claimed.key, claimed.attempt) if room else []
            try:
                self.table.transact([self._item(claimed, item.version if item else 0), *shares])
            except Stale:
                continue
            return claimed

    def _read(self, key: str) -> tuple[Item | None, Environment | None]:
        item = self.table.get(f"environment#{key}", "environment")
        return item, Environment.model_validate(item.data) if item else None

    def _is_usable(self, item: Item, now: Environment, usable: Callable[[str], bool]) -> bool:
        """Return True if the environment builds, or has an image that can be launched and counts as launched today. Raises Stale."""
        if now.state is not READY:
            return now.state is BUILDING
        if not (self._is_young(now) and usable(now.image)):
            return False
        if not self._note_use(item, now):
            raise Stale
        return True

    def finish(self, key: str, attempt: int, image: str = "", failure: Failure | None = None) -> Environment | None:
        """Writes the attempt's outcome, and answers it; None if it has one already, or a newer attempt took over."""
        while ending := self._ending(key, attempt, image, failure):
            ended, item = ending
            try:
                self.table.put(item)
            except Stale:
                continue
            return ended
        return None

    def give_up(self, key: str, attempt: int, failure: Failure) -> None:
        """Ends an attempt that has no handle, and leaves an empty one, so that none can come; not if it has one by now."""
        ending = self._ending(key, attempt, "", failure)
        if ending:
            with suppress(Stale):
                self.table.transact([self._start(key, attempt, ""), ending[1]])

    def _ending(self, key: str, attempt: int, image: str, failure: Failure | None) -> tuple[Environment, Item] | None:
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item is None or now is None or not now.is_making(attempt):
            return None
        state = EnvironmentState.FAILED if failure else READY
        outcome = {"state": state, "image": image, "failure": failure, "ended_at": self.clock.now()}
        outcome["launched_day"] = self._today
        ended = now.model_copy(update=outcome)
        return ended, self._item(ended, item.version)

    def settle(self, key: str, attempt: int) -> None:
        """Takes an ended attempt that nobody waits for any more out of the due index; its image stands in that of images."""
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item and now and item.due_shard == due_shard("environment", key) and now.attempt == attempt:
            with suppress(Stale):  # somebody told them too, or the next attempt was claimed
                self.table.put(self._settled(item, now))

    def _settled(self, item: Item, now: Environment) -> Item:
        if now.state is not READY:
            return replace(item, due_shard=None, due_at=None)
        return replace(item, due_shard=due_shard("image", now.key), due_at=(now.launched_day + 1.0) * self.day_seconds)

    @property
    def _today(self) -> int:
        return int(self.clock.now() // self.day_seconds)

    def _is_young(self, environment: Environment) -> bool:
        age = self.clock.now() - (environment.ended_at or 0)
        return not self.oldest_image_seconds or age < self.oldest_image_seconds

    def _note_use(self, item: Item, now: Environment) -> bool:
        """Note that the image is launched today, with one write a day; False if the environment changed since it was read."""
        if now.launched_day >= self._today:
            return True
        used = now.model_copy(update={"launched_day": self._today})
        noted = replace(item, data=used.model_dump(mode="json"))
        untold = item.due_shard == due_shard("environment", now.key)  # it stays due until all who wait were told
        try:
            self.table.put(noted if untold else self._settled(noted, used))
        except Stale:
            return False
        return True

    def note_use(self, key: str) -> None:
        """Note that an environment's image is in use today."""
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item and now and now.state is READY:
            self._note_use(item, now)

    def unlaunched(self, days: int, limit: int) -> Iterator[Environment]:
        """Environments whose image was not launched for so many days; nominated, not decided. limit: for each shard of the index."""
        for item in due(self.table, "image", self.clock.now() - days * self.day_seconds, limit):
            yield Environment.model_validate(item.data)

    def mark_evicted(self, key: str, days: int) -> Environment | None:
        """Mark an environment whose image was not launched for so many days; None if it was, or another attempt was claimed."""
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item is None or now is None or now.state not in (READY, EnvironmentState.EVICTED):
            return None
        if now.state is EnvironmentState.EVICTED:
            return now
        if self._today - now.launched_day <= days or item.due_shard == due_shard("environment", key):
            return None
        marked = now.model_copy(update={"state": EnvironmentState.EVICTED})
        try:
            self.table.put(replace(item, data=marked.model_dump(mode="json")))
        except Stale:
            return None
        return marked

    def settle_evicted(self, key: str, attempt: int) -> None:
        """Take an environment whose image was deleted out of the due index."""
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item and now and now.state is EnvironmentState.EVICTED and now.attempt == attempt:
            gone = now.model_copy(update={"image": ""}).model_dump(mode="json")
            with suppress(Stale):
                self.table.put(replace(item, data=gone, due_shard=None, due_at=None))

    def postpone(self, key: str, seconds: float = LOOK_AGAIN_SECONDS) -> None:
        """Looked at: due again later. Losing a race to somebody who wrote more is fine."""
        item = self.table.get(f"environment#{key}", "environment")
        if item and item.due_at:
            try:
                self.table.put(replace(item, due_at=self.clock.now() + seconds))
            except Stale:
                return

    def due(self, ahead: float = 0, limit: int = 100) -> Iterator[Environment]:
        """Environments that build, or whose waiters may not all have been told; nominated, not decided."""
        for item in due(self.table, "environment", self.clock.now() + ahead, limit):
            yield Environment.model_validate(item.data)

    def building(self) -> int:
        """How many build now, for gauges."""
        return sum(item.data["state"] == "building" for item in due(self.table, "environment", FOREVER, 1000))

    def _item(self, environment: Environment, version: int) -> Item:
        ended = environment.state is not BUILDING
        return Item(
            f"environment#{environment.key}",
            "environment",
            environment.model_dump(mode="json"),
            version,
            due_shard=due_shard("environment", environment.key),
            due_at=self.clock.now() + (0 if ended else LOOK_AGAIN_SECONDS),
        )

    def wait(self, key: str, attempt: int, launch: str) -> None:
        """Registers the launch as waiting for the attempt, and for no older one; again is fine."""
        while True:
            pk = _waiters(key, launch)
            item = self.table.get(pk, launch) or Item(pk, launch)
            if item.data.get("attempt", 0) >= attempt:
                return
            until = self.clock.now() + WAITERS_KEPT_SECONDS
            try:
                self.table.put(replace(item, data={"attempt": attempt}, expires_at=until))
            except Stale:
                continue
            return

    def waiters(self, key: str, attempt: int) -> Iterator[list[Waiter]]:
        """Yield the launches that wait for this attempt or for one before it, up to 100 at a time."""
        for shard in range(WAITER_SHARDS):
            for page in whole_pages(self.table, f"environment#{key}#waiters#{shard}"):
                if waiters := [Waiter(item.sk, item) for item in page if item.data["attempt"] <= attempt]:
                    yield waiters

    def forget(self, waiter: Waiter) -> None:
        """The launch has been told how the attempt went. One that has registered anew since stays."""
        with suppress(Stale):
            self.table.delete(waiter.item)

    def forget_all(self, waiters: Sequence[Waiter]) -> None:
        """Do as `forget` for up to 100 waiters, in one transaction where none of them changed."""
        try:
            self.table.transact([Delete(waiter.item) for waiter in waiters])
        except (Stale, Throttled):
            for waiter in waiters:
                self.forget(waiter)

    def forget_waiter(self, key: str, attempt: int, launch: str) -> None:
        """The same for one launch."""
        item = self.table.get(_waiters(key, launch), launch)
        if item and item.data["attempt"] <= attempt:
            self.forget(Waiter(launch, item))

    def record_start(self, key: str, attempt: int, handle: str) -> None:
        """Keeps the build service's handle of an attempt, and the time; the first one stays."""
        with suppress(Stale):
            self.table.put(self._start(key, attempt, handle))

    def _start(self, key: str, attempt: int, handle: str) -> Item:
        now = self.clock.now()
        data, until = {"handle": handle, "at": now}, now + ATTEMPTS_KEPT_SECONDS
        return Item(f"build#{key}#{attempt}", "attempt", data, expires_at=until)

    def handle(self, key: str, attempt: int) -> str | None:
        """The build service's handle of an attempt, once it was started; empty if it was given up before."""
        item = self.table.get(f"build#{key}#{attempt}", "attempt")
        return str(item.data["handle"]) if item else None

    def started(self, key: str, attempt: int, claimed_at: float = 0) -> Started | None:
        """Return how an attempt was started, with an empty handle if it was given up before; None while it was not.

        claimed_at: its time if an older version started it, which wrote none.
        """
        item = self.table.get(f"build#{key}#{attempt}", "attempt")
        if item is None:
            return None
        return Started(str(item.data["handle"]), item.data.get("at", claimed_at), bool(item.data.get("unwanted")))

    def mark_unwanted(self, key: str, attempt: int) -> bool:
        """Note that a started attempt is stopped because no launch waits for it. The mark stays. Return False if a race was lost."""
        item = self.table.get(f"build#{key}#{attempt}", "attempt")
        if item is None:
            return False
        try:
            self.table.put(item.with_data({**item.data, "unwanted": True}))
        except Stale:
            return False
        return True


def _waiters(key: str, launch: str) -> str:
    return f"environment#{key}#waiters#{shard_of(launch, WAITER_SHARDS)}"
