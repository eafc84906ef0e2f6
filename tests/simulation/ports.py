"""The ports, with the world's hooks around each call: before it nothing has happened, after it everything has."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Protocol

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import (
    BuildFailed,
    BuildServiceDown,
    BuildTooLong,
    LauncherDown,
)
from bindery.domain.failure import Failure
from bindery.domain.sessions import Activity, SessionObject, SessionOrder, SessionReport
from bindery.ports.table import Delete, Item
from tests.fakes.builds import FakeBuilds
from tests.fakes.sessions import FakeSessions
from tests.fakes.table import DictTable
from tests.simulation.faults import Faults

Wrote = Callable[[Item | Delete], None]
MOST_LAG_SECONDS = 5.0


class World(Protocol):
    """What a port asks of the world that it is in."""

    random: Random
    faults: Faults

    @property
    def now(self) -> float: ...
    def before(self, call: str, *, table: bool = False) -> None: ...
    def after(self, call: str) -> None: ...
    def happens(self, fault: str) -> bool: ...
    def build_planned(self, seconds: float) -> None: ...
    def later(self, seconds: float, what: Callable[[], None]) -> None: ...
    def wait(self, seconds: float) -> None: ...


class SimTable:
    """The table port. wrote: told of every change, at the moment when it is made. The due index may lag by a few seconds."""

    def __init__(self, world: World, wrote: Wrote) -> None:
        self.real = DictTable()
        self.operations = 0
        self._world, self._wrote = world, wrote
        self._seen: dict[str, dict[tuple[str, str], Item]] = {}
        self._unseen: deque[tuple[float, Item | Delete]] = deque()
        self._shards: dict[tuple[str, str], str] = {}

    def get(self, pk: str, sk: str) -> Item | None:
        self._before(f"get {pk}")
        return self.real.get(pk, sk)

    def put(self, item: Item) -> Item:
        self._before(f"put {item.pk}")
        written = self.real.put(item)
        self._made(written)
        self._world.after(f"put {item.pk}")
        return written

    def delete(self, item: Item) -> None:
        self._before(f"delete {item.pk} {item.sk}")
        self.real.delete(item)
        self._made(Delete(item))
        self._world.after(f"delete {item.pk}")

    def transact(self, changes: Sequence[Item | Delete]) -> None:
        pks = " ".join(change.item.pk if isinstance(change, Delete) else change.pk for change in changes)
        self._before(f"transact {pks}")
        self.real.transact(changes)
        for change in changes:
            self._made(change)
        self._world.after(f"transact {pks}")

    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]:
        self._before(f"query {pk}")
        return self.real.query(pk, prefix, after, limit)

    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]:
        self._before(f"due {shard}")
        while self._unseen and self._unseen[0][0] <= self._world.now:
            self._show(self._unseen.popleft()[1])
        there = (item for item in self._seen.get(shard, {}).values() if item.due_at is not None and item.due_at <= now)
        return sorted(there, key=lambda item: (item.due_at, item.pk, item.sk))[:limit]

    def _before(self, call: str) -> None:
        self.operations += 1
        self._world.before(call, table=True)

    def _made(self, change: Item | Delete) -> None:
        item = change.item if isinstance(change, Delete) else change
        stored = self.real.get(item.pk, item.sk)
        told = stored if stored is not None else Delete(item)
        earliest = self._unseen[-1][0] if self._unseen else 0.0
        lag = self._world.random.random() * MOST_LAG_SECONDS if self._world.happens("index_lags") else 0.0
        self._unseen.append((max(earliest, self._world.now + lag), told))
        self._wrote(told)

    def _show(self, change: Item | Delete) -> None:
        item = change.item if isinstance(change, Delete) else change
        key = (item.pk, item.sk)
        old = self._shards.pop(key, None)
        if old is not None:
            self._seen[old].pop(key, None)
        if isinstance(change, Item) and change.due_shard is not None:
            self._shards[key] = change.due_shard
            self._seen.setdefault(change.due_shard, {})[key] = change


class SimBuilds(FakeBuilds):
    """The build service port. Attempts end by themselves, well or badly, or vanish, or hang until they are ended at their limit."""

    world: World
    began: Callable[[str], None]

    def start(self, order: BuildOrder) -> str:
        self.world.before(f"builds.start {order.environment}")
        if self.world.happens("build_service_down"):
            raise BuildServiceDown(why="no capacity")
        known = len(self.started)
        handle = super().start(order)
        if len(self.started) > known:
            self.began(handle)
            self._plan(handle, order)
        self.world.after(f"builds.start {order.environment}")
        return handle

    def look(self, handle: str) -> BuildReport:
        self.world.before(f"builds.look {handle}")
        return super().look(handle)

    def stop(self, handle: str) -> None:
        self.world.before(f"builds.stop {handle}")
        super().stop(handle)
        self.world.after(f"builds.stop {handle}")

    def has(self, image: str) -> bool:
        self.world.before(f"builds.has {image}")
        if image in self.images and self.world.happens("image_evicted"):
            self.images.discard(image)
        return super().has(image)

    def running(self) -> list[str]:
        """Handles of attempts that run."""
        return [handle for handle, report in self.reports.items() if report.state is BuildState.RUNNING]

    def _plan(self, handle: str, order: BuildOrder) -> None:
        seconds = 5 + self.world.random.random() * 200
        self.world.build_planned(seconds)
        for part in (0.1, 0.6):
            self.world.later(seconds * part, lambda: self._write(handle))
        if self.world.happens("build_vanishes"):
            self.world.later(seconds, lambda: self._vanish(handle))
        elif self.world.happens("build_hangs"):
            long = BuildReport(BuildState.FAILED, failure=Failure.of(BuildTooLong(minutes=order.seconds // 60)))
            self.world.later(order.seconds, lambda: self._end(handle, long))
        elif self.world.happens("build_fails"):
            bad = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))
            self.world.later(seconds, lambda: self._end(handle, bad))
        else:
            self.world.later(seconds, lambda: self._end(handle, None))

    def _write(self, handle: str) -> None:
        if super().look(handle).state is BuildState.RUNNING:
            self.write(handle, "one", "two", "three")

    def _end(self, handle: str, report: BuildReport | None) -> None:
        if super().look(handle).state is BuildState.RUNNING:
            self.finish(handle, report)

    def _vanish(self, handle: str) -> None:
        if super().look(handle).state is BuildState.RUNNING:
            del self.reports[handle]


class SimSessions(FakeSessions):
    """The session launcher port."""

    world: World
    ill_until: float = 0
    tokens: dict[str, str]

    def start(self, order: SessionOrder) -> None:
        self._before("start", order.id)
        self.tokens[order.id] = order.token
        known = len(self.started)
        super().start(order)
        if len(self.started) > known:
            self._plan(order.id)
            self.world.wait(self.world.random.random() * 3)
        self.world.after(f"sessions.start {order.id}")

    def wait(self, session: str, seconds: float) -> SessionReport:
        self._before("wait", session)
        return super().wait(session, seconds)

    def ask(self, sessions: Mapping[str, tuple[str, str]]) -> Mapping[str, Activity]:
        self._before("ask", "")
        if self.world.happens("network_ill"):
            self.ill_until = self.world.now + 900
        return super().ask(sessions) if self.world.now >= self.ill_until else {}

    def stop(self, session: str) -> None:
        self._before("stop", session)
        super().stop(session)
        self.world.after(f"sessions.stop {session}")

    def objects(self) -> Sequence[SessionObject]:
        self._before("objects", "")
        return super().objects()

    def _before(self, call: str, session: str) -> None:
        self.world.before(f"sessions.{call} {session}")
        if self.world.happens("launcher_down"):
            raise LauncherDown(why="the cluster does not answer")

    def _plan(self, session: str) -> None:
        made = self.running[session]
        made.answers = not self.world.happens("session_silent")
        if self.world.happens("session_slow"):
            made.looks = self.world.random.choice((1, 2, 5, 30, 100))
        if self.world.happens("session_dies_early"):
            self.world.later(self.world.random.random() * 3, lambda: self._die(session))
        elif self.world.happens("session_dies_late"):
            self.world.later(self.world.random.random() * 600, lambda: self._die(session))

    def _die(self, session: str) -> None:
        if session in self.running and self.running[session].dead is None:
            self.die(session, "Killed: out of memory")
