"""The session launcher port: servers that are slow, never come, die, vanish with their node, fall silent, or are in use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bindery.domain.errors import ClusterFull, LauncherDown
from bindery.domain.sessions import Activity, Liveness, SessionObject, SessionOrder, SessionReport
from tests.fakes.sessions import FakeSessions
from tests.simulation.around import Around

DOWN = "the cluster does not answer"
NEVER = 10**6


@dataclass
class Facts:
    """The truth about a session, independent of the table.

    answered: its server, or one before it, has been seen to.
    silences: in a row, in sweeps that could be trusted. idle_since: as its last answer said; None: in use.
    gone_at: the time since no part of it runs.
    """

    answered: bool = False
    silences: int = 0
    idle_since: float | None = None
    gone_at: float | None = None


@dataclass
class SimSessions(FakeSessions):
    """The session launcher port with faults.

    facts: by session.
    """

    around: Around = field(kw_only=True)
    facts: dict[str, Facts] = field(default_factory=dict)
    ill_until: float = 0

    def start(self, order: SessionOrder) -> None:
        self._before("start", order.id)
        self.around.trouble("cluster_full", ClusterFull(why="the quota is used up"))
        count = len(self.started)
        super().start(order)
        if len(self.started) > count:
            facts = self.facts.setdefault(order.id, Facts())
            facts.gone_at = None
            self._plan(order.id)
            self.around.wait(self.around.random.random() * 3)
        self.around.after("sessions.start")
        self.around.trouble("session_start_unanswered", LauncherDown(why="no answer"))

    def wait(self, session: str, token: str, seconds: float) -> SessionReport:
        self._before("wait", session)
        report = super().wait(session, token, seconds)
        if report.liveness is Liveness.READY:
            self.facts.setdefault(session, Facts()).answered = True
        return report

    def activity(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]:
        self._before("activity", "")
        if self.around.happens("network_ill"):
            self.ill_until = self.around.now + 900
        answers = super().activity(sessions, seconds)
        if self.around.now < self.ill_until:
            answers = dict.fromkeys(answers)
        self._remember(answers)
        return answers

    def stop(self, session: str) -> None:
        self._before("stop", session)
        super().stop(session)
        self._gone(session)
        self.around.after("sessions.stop")

    def list_sessions(self) -> Sequence[SessionObject]:
        self._before("list", "")
        return super().list_sessions()

    def _before(self, call: str, session: str) -> None:
        self.around.before(f"sessions.{call} {session}")
        self.around.trouble("launcher_down", LauncherDown(why=DOWN))

    def _remember(self, answers: Mapping[str, Activity | None]) -> None:
        """Remember the answers by the design's own rule.

        If over a tenth of the sessions (and at least five) are silent in a sweep, it gives no information about any
        of them.
        """
        silent = sum(answer is None for answer in answers.values())
        doubtful = silent >= 5 and silent > len(answers) / 10
        for session, answer in answers.items():
            facts = self.facts.setdefault(session, Facts())
            if answer:
                facts.silences = 0
                facts.idle_since = None if answer.busy else answer.last
            elif not doubtful:
                facts.silences += 1

    def _plan(self, session: str) -> None:
        session_object, random = self.running[session], self.around.random
        session_object.answers = not self.around.happens("session_silent")
        if self.around.happens("session_unschedulable"):
            session_object.looks = NEVER
        elif self.around.happens("session_slow"):
            session_object.looks = random.choice((1, 2, 5, 30, 100))
        if self.around.happens("session_busy"):
            session_object.busy = True
            self.around.later(random.random() * 3000, lambda: self._rest(session))
        if self.around.happens("session_dies_early"):
            self.around.later(random.random() * 3, lambda: self._die(session))
        elif self.around.happens("session_dies_late"):
            self.around.later(random.random() * 600, lambda: self._die(session))
        elif self.around.happens("session_vanishes"):
            self.around.later(random.random() * 600, lambda: self._vanish(session))

    def _rest(self, session: str) -> None:
        if session in self.running:
            self.running[session].busy = False
            self.running[session].last = self.around.now

    def _die(self, session: str) -> None:
        if session in self.running and self.running[session].dead is None:
            self.die(session, "Killed: out of memory")
            self._gone(session)

    def _vanish(self, session: str) -> None:
        self.running.pop(session, None)
        self._gone(session)

    def _gone(self, session: str) -> None:
        facts = self.facts.setdefault(session, Facts())
        facts.gone_at = self.around.now if facts.gone_at is None else facts.gone_at
