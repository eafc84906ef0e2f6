"""Timer: ask due sessions what they do; stop the idle, the too old, and those that have been silent for long."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from bindery.domain.messages import StopRequested
from bindery.domain.sessions import Activity, Session, SessionState
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.session_launcher import SessionLauncher
from bindery.state.counters import Counters
from bindery.state.sessions import Sessions

logger = logging.getLogger("bindery")
SILENCES = 3
MANY_SHARE, MANY_COUNT = 0.1, 5


@dataclass(frozen=True)
class CullSessions:
    """idle_seconds, max_age_seconds: 0 means no such limit. cull_seconds: how soon a session is looked at again."""

    sessions: Sessions
    launcher: SessionLauncher
    queue: Queue
    counters: Counters
    clock: Clock
    idle_seconds: float
    max_age_seconds: float
    cull_seconds: float

    def __call__(self) -> None:
        nominated = (self.sessions.find(session.id) for session in self.sessions.due())
        running = [session for session in nominated if session and session.state is SessionState.RUNNING]
        if not running:
            return
        answers = self.launcher.ask({session.id: (session.url, session.token) for session in running})
        self_doubt = self._network_is_ill(len(running), len(running) - len(answers))
        for session in running:
            self._judge(session, answers, self_doubt)

    def _network_is_ill(self, asked: int, silent: int) -> bool:
        ill = silent >= MANY_COUNT and silent > asked * MANY_SHARE
        if ill:
            logger.error("%d of %d sessions do not answer: none of them is ended now", silent, asked)
            self.counters.add("bindery_sweeps_in_doubt")
        return ill

    def _judge(self, session: Session, answers: Mapping[str, Activity], network_is_ill: bool) -> None:
        now = self.clock.now()
        answer = answers.get(session.id)
        seen = self._seen(session, answer, network_is_ill)
        if self.max_age_seconds and now - seen.created_at > self.max_age_seconds:
            reason = f"it was {_spoken(self.max_age_seconds)} old, the most a session may be"
        elif self.idle_seconds and answer and now - seen.last_activity > self.idle_seconds:
            reason = f"nothing happened in it for {_spoken(self.idle_seconds)}"
        elif seen.silent >= SILENCES:
            reason = "its server no longer answered"
        else:
            self.sessions.looked_at(seen, self.cull_seconds)
            return
        self.queue.send(StopRequested(session=session.id, reason=reason))

    def _seen(self, session: Session, activity: Activity | None, network_is_ill: bool) -> Session:
        if activity is None:
            return session if network_is_ill else session.model_copy(update={"silent": session.silent + 1})
        last = self.clock.now() if activity.busy else max(activity.last, session.last_activity)
        return session.model_copy(update={"silent": 0, "last_activity": last})


def _spoken(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} seconds"
