"""Sessions in a dictionary: they become ready, work, fall silent and die exactly when they are told to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import ceil

from bindery.domain.errors import BinderyError, ClusterFull, ImageGone
from bindery.domain.sessions import Activity, Liveness, SessionObject, SessionOrder, SessionReport
from tests.fakes.clock import FakeClock

Before = Callable[[str, str], None]


def _nothing(operation: str, session: str) -> None: ...


@dataclass
class Running:
    """One session. looks: how many more waits it stays STARTING. last: UTC seconds. dead: why, once its server has ended.
    trouble: what it died of."""

    order: SessionOrder
    started: float
    looks: int
    last: float
    busy: bool = False
    answers: bool = True
    dead: str | None = None
    trouble: BinderyError | None = None


@dataclass
class FakeSessions:
    """The session launcher port. before: called ahead of each operation with its name and the session (ask, objects: "");
    what it raises, the operation raises, and nothing was done.

    running: by id; change them at will. looks: how many waits a new session stays STARTING; each such wait takes its seconds
    of the fake clock. gone: images that are not there. notes: what the next sessions have to say.
    started: every session ever begun, in order, for tests that count. trouble: what keeps new sessions from starting while they do.
    full: how often a start finds no room. pace: how many are asked in a second.
    """

    clock: FakeClock
    before: Before = _nothing
    looks: int = 0
    gone: set[str] = field(default_factory=set)
    notes: tuple[str, ...] = ()
    running: dict[str, Running] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    trouble: BinderyError | None = None
    full: int = 0
    pace: float = 1e9

    def start(self, order: SessionOrder) -> None:
        self.before("start", order.id)
        found = self.running.get(order.id)
        if found and found.dead is None:
            return
        self.running.pop(order.id, None)
        if order.image in self.gone:
            raise ImageGone(image=order.image)
        if self.full:
            self.full -= 1
            raise ClusterFull(why="the quota is used up")
        now = self.clock.now()
        self.running[order.id] = Running(order, started=now, looks=self.looks, last=now)
        self.started.append(order.id)

    def wait(self, session: str, token: str, seconds: float) -> SessionReport:
        self.before("wait", session)
        found = self.running.get(session)
        if found is None or found.dead is not None:
            trouble = found.trouble if found else None
            return SessionReport(Liveness.GONE, why=found.dead or "" if found else "", trouble=trouble)
        if found.looks > 0:
            found.looks -= 1
            self.clock.advance(seconds)
            return SessionReport(Liveness.STARTING, trouble=self.trouble)
        return SessionReport(Liveness.READY, url=f"http://{session}.sessions.example/", notes=self.notes)

    def ask(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]:
        self.before("ask", "")
        asked = islice(sessions.items(), ceil(min(self.pace * seconds, len(sessions))))
        return {session: self._answer(session, token) for session, (_url, token) in asked}

    def _answer(self, session: str, token: str) -> Activity | None:
        found = self.running.get(session)
        if found and found.dead is None and found.answers and found.order.token == token:
            return Activity(last=found.last, busy=found.busy)
        return None

    def stop(self, session: str) -> None:
        self.before("stop", session)
        self.running.pop(session, None)

    def objects(self) -> Sequence[SessionObject]:
        self.before("objects", "")
        return [
            SessionObject(session, found.started, found.dead is None, found.dead or "")
            for session, found in self.running.items()
        ]

    def die(self, session: str, why: str = "Killed") -> None:
        """The session's server ends by itself; what it owned is still there."""
        self.running[session].dead = why
