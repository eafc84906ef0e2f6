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
    """Launch that waits for a build, as it was read."""

    launch: str
    item: Item


@dataclass(frozen=True)
class Started:
    """Attempt that the build service was asked to start.

    at: UTC seconds. unwanted: it is to be stopped, because no launch waits for it.
    """

    handle: str
    at: float
    unwanted: bool = False


@dataclass(frozen=True)
class Environments:
    """Store of environments. Each environment is one item; its waiters are separate items, in shards.

    The item is written a few times per build and once a day, for any number of launches.
    oldest_image_seconds: an older image is not used any more; 0: no limit. day_seconds: the length of a day, longer than any launch.
    """

    table: Table
    clock: Clock
    oldest_image_seconds: float = 0
    day_seconds: float = DAY_SECONDS

    def find(self, key: str) -> Environment | None:
        """Return the current environment or None, with a consistent read."""
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
        """Return the environment unchanged if it builds or its image is usable; otherwise claim its next attempt for `launch`.

        room: returns the items to be written together with the claim of an attempt; raises an error if the claim exceeds a limit.
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
        """Store the attempt's outcome and return the environment; None if it already has an outcome, or if a newer attempt exists."""
        while ending := self._ending(key, attempt, image, failure):
            ended, item = ending
            try:
                self.table.put(item)
            except Stale:
                continue
            return ended
        return None

    def give_up(self, key: str, attempt: int, failure: Failure) -> None:
        """End an attempt without a handle, and store an empty handle, so that the attempt cannot get one later.

        If the attempt has a handle by now, no change is written.
        """
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
        """Remove an ended attempt without waiters from the due index of environments; its image is added to that of images."""
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item and now and item.due_shard == due_shard("environment", key) and now.attempt == attempt:
            with suppress(Stale):  # another process notified the waiters too, or the next attempt was claimed
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
        """Record that the image is launched today, with one write a day. Return False if the environment changed since it was read."""
        if now.launched_day >= self._today:
            return True
        used = now.model_copy(update={"launched_day": self._today})
        noted = replace(item, data=used.model_dump(mode="json"))
        has_waiters = item.due_shard == due_shard("environment", now.key)  # it stays due until all waiters are notified
        try:
            self.table.put(noted if has_waiters else self._settled(noted, used))
        except Stale:
            return False
        return True

    def note_use(self, key: str) -> None:
        """Record that an environment's image is in use today."""
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item and now and now.state is READY:
            self._note_use(item, now)

    def unlaunched(self, days: int, limit: int) -> Iterator[Environment]:
        """Yield candidates for eviction: environments with an image that was not launched for `days` days. The caller checks each again.

        limit: applies to each shard of the index.
        """
        for item in due(self.table, "image", self.clock.now() - days * self.day_seconds, limit):
            yield Environment.model_validate(item.data)

    def mark_evicted(self, key: str, days: int) -> Environment | None:
        """Mark an environment as evicted if its image was not launched for `days` days, and return it.

        Return None if it was launched since then, or if another attempt was claimed.
        """
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
        """Remove an environment from the due index after its image was deleted."""
        item = self.table.get(f"environment#{key}", "environment")
        now = Environment.model_validate(item.data) if item else None
        if item and now and now.state is EnvironmentState.EVICTED and now.attempt == attempt:
            gone = now.model_copy(update={"image": ""}).model_dump(mode="json")
            with suppress(Stale):
                self.table.put(replace(item, data=gone, due_shard=None, due_at=None))

    def postpone(self, key: str, seconds: float = LOOK_AGAIN_SECONDS) -> None:
        """Make the environment due again after `seconds`. A conflict with another write is ignored."""
        item = self.table.get(f"environment#{key}", "environment")
        if item and item.due_at:
            try:
                self.table.put(replace(item, due_at=self.clock.now() + seconds))
            except Stale:
                return

    def due(self, ahead: float = 0, limit: int = 100) -> Iterator[Environment]:
        """Yield due candidates: environments that build, or that may have waiters to notify. The caller checks each again."""
        for item in due(self.table, "environment", self.clock.now() + ahead, limit):
            yield Environment.model_validate(item.data)

    def building(self) -> int:
        """Return the number of environments that build now, for gauges."""
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
        """Register the launch as a waiter for the attempt, instead of an older attempt. Idempotent."""
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
        """Delete a waiter after its launch was notified of the attempt's outcome. A waiter that has registered again since then stays."""
        with suppress(Stale):
            self.table.delete(waiter.item)

    def forget_all(self, waiters: Sequence[Waiter]) -> None:
        """Delete up to 100 waiters as `forget` does, in one transaction if they are all unchanged."""
        try:
            self.table.transact([Delete(waiter.item) for waiter in waiters])
        except (Stale, Throttled):
            for waiter in waiters:
                self.forget(waiter)

    def forget_waiter(self, key: str, attempt: int, launch: str) -> None:
        """Delete the waiter of one launch as `forget` does, if it waits for this attempt or an older one."""
        item = self.table.get(_waiters(key, launch), launch)
        if item and item.data["attempt"] <= attempt:
            self.forget(Waiter(launch, item))

    def record_start(self, key: str, attempt: int, handle: str) -> None:
        """Store the build service's handle of an attempt, and the time. The first handle stays."""
        with suppress(Stale):
            self.table.put(self._start(key, attempt, handle))

    def _start(self, key: str, attempt: int, handle: str) -> Item:
        now = self.clock.now()
        data, until = {"handle": handle, "at": now}, now + ATTEMPTS_KEPT_SECONDS
        return Item(f"build#{key}#{attempt}", "attempt", data, expires_at=until)

    def handle(self, key: str, attempt: int) -> str | None:
        """Return the build service's handle of an attempt; None if it was not started, empty if it was given up before."""
        item = self.table.get(f"build#{key}#{attempt}", "attempt")
        return str(item.data["handle"]) if item else None

    def started(self, key: str, attempt: int, claimed_at: float = 0) -> Started | None:
        """Return the start of an attempt, with an empty handle if it was given up before; None if it was not started.

        claimed_at: the time to use if an older version of Bindery started the attempt, because it stored no time.
        """
        item = self.table.get(f"build#{key}#{attempt}", "attempt")
        if item is None:
            return None
        return Started(str(item.data["handle"]), item.data.get("at", claimed_at), bool(item.data.get("unwanted")))

    def mark_unwanted(self, key: str, attempt: int) -> bool:
        """Mark a started attempt as unwanted: no launch waits for it, so it is stopped. The mark stays. Return False after a conflict."""
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
