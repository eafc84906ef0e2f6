"""Sessions in a dictionary. They become ready, work, stop answering and die exactly when a test says so."""

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
    """A session of the fake launcher.

    looks: the number of further waits in which it stays STARTING. last: the last activity in UTC seconds.
    dead: the reason, once its server has ended. trouble: the error that ended it.
    """

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
    """The session launcher port.

    before: called before each operation with the operation's name and the session ("" for ask and objects).
    An operation raises the error that `before` raises, and then has no effect.

    running: the sessions by id. Tests may change them.
    looks: the number of waits in which a new session stays STARTING. Each such wait takes its seconds of the fake clock.
    gone: the images that no longer exist. notes: the notes in the reports of ready sessions.
    started: the ids of all sessions that ever began, in order, for tests that count.
    trouble: the error that sessions report while they are STARTING.
    full: the number of starts that find no room. pace: the number of sessions that can be asked in a second.
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

    def activity(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]:
        self.before("activity", "")
        requested = islice(sessions.items(), ceil(min(self.pace * seconds, len(sessions))))
        return {session: self._answer(session, token) for session, (_url, token) in requested}

    def _answer(self, session: str, token: str) -> Activity | None:
        found = self.running.get(session)
        if found and found.dead is None and found.answers and found.order.token == token:
            return Activity(last=found.last, busy=found.busy)
        return None

    def stop(self, session: str) -> None:
        self.before("stop", session)
        self.running.pop(session, None)

    def list_sessions(self) -> Sequence[SessionObject]:
        self.before("list", "")
        return [
            SessionObject(session, found.started, found.dead is None, found.dead or "")
            for session, found in self.running.items()
        ]

    def die(self, session: str, why: str = "Killed") -> None:
        """End the session's server, as if by itself. The objects that it owned remain."""
        self.running[session].dead = why
