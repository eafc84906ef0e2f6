"""Timer: ask due sessions what they do; stop the idle, the too old, and those that have been silent for long."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bindery.domain.messages import StopRequested
from bindery.domain.sessions import Activity, Session, SessionState
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.session_launcher import SessionLauncher
from bindery.state.counters import Counters
from bindery.state.sessions import Found, Sessions

logger = logging.getLogger("bindery")
SILENCES = 3
LONGEST_SILENCE = 6 * 3600
"""Seconds' worth of looks: what answered none of them goes, whatever else is silent."""
MANY_SHARE, MANY_COUNT = 0.1, 5
WRITE_SECONDS = 300
"""A session of which nothing is new is written this seldom: until then it stays due, and is looked at all the same. After a sweep
that could not ask all of them, each one that was asked is written: it is due after those that were not."""
ASKING_SECONDS = 40
Answers = Mapping[str, Activity | None]


@dataclass(frozen=True)
class CullSessions:
    """idle_seconds, max_age_seconds: 0 means no such limit. busy_seconds: so long a kernel that computes is believed without any
    other sign of life; 0: for ever. cull_seconds: how soon a session is looked at again.

    A look makes a session due again after half that time, so that a timer that comes a little early still sees all of them: from a
    few it could not tell whether the network is ill. A sweep is over all that are due, and asks for ASKING_SECONDS at most:
    whoever was not asked by then is first next time.
    One transaction keeps what a hundred looks showed, of sessions of which something is new; what is to end is read again before.
    """

    sessions: Sessions
    launcher: SessionLauncher
    queue: Queue
    counters: Counters
    clock: Clock
    idle_seconds: float
    max_age_seconds: float
    busy_seconds: float
    cull_seconds: float

    def __call__(self) -> None:
        running = [found for found in self.sessions.due() if found.session.state is SessionState.RUNNING]
        if not running:
            return
        told = {found.session.id: (found.session.url, found.session.token) for found in running}
        answers = self.launcher.ask(told, ASKING_SECONDS)
        if left := len(running) - len(answers):
            logger.warning("%d of %d sessions were not asked: a sweep's time was over", left, len(running))
        in_doubt = self._network_is_ill([found.session for found in running if found.session.id in answers], answers)
        stay, over = [], []
        for found in running:
            seen, why = self._judged(found.session, answers, in_doubt)
            if why:
                over.append(seen.id)
            elif seen.id in answers and (left or self._is_news(found, seen)):
                stay.append(replace(found, session=seen))
        self.sessions.looked_at(stay, self.cull_seconds / 2)
        for session in over:
            self._end(session, answers, in_doubt)

    def _network_is_ill(self, asked: list[Session], answers: Answers) -> bool:
        silent = [session for session in asked if answers[session.id] is None]
        ill = len(silent) >= MANY_COUNT and len(silent) > len(asked) * MANY_SHARE
        if ill and _are_of_one_client(silent, asked, answers):
            return False
        if ill:
            logger.error("%d of %d sessions do not answer: none of them is ended now", len(silent), len(asked))
            self.counters.add("bindery_sweeps_in_doubt")
        return ill

    def _is_news(self, found: Found, seen: Session) -> bool:
        return seen != found.session or self.clock.now() - found.due_at >= WRITE_SECONDS

    def _end(self, session: str, answers: Answers, in_doubt: bool) -> None:
        """Unless the session, read again, is not what it was taken for."""
        now = self.sessions.find(session)
        if now and now.state is SessionState.RUNNING:
            _, reason = self._judged(now, answers, in_doubt)
            if reason:
                self.queue.send(StopRequested(session=session, reason=reason))

    def _judged(self, session: Session, answers: Answers, in_doubt: bool) -> tuple[Session, str]:
        """The session as the look showed it, and why it is to end; empty if it may stay. One that was not asked can only be too old."""
        if self._is_too_old(session):
            return session, f"it was {_spoken(self.max_age_seconds)} old, the most a session may be"
        if session.id not in answers:
            return session, ""
        answer = answers[session.id]
        seen = self._seen(session, answer, in_doubt)
        return seen, self._why_over(seen, answer)

    def _why_over(self, seen: Session, answer: Activity | None) -> str:
        if self.idle_seconds and answer and self.clock.now() - seen.last_activity > self.idle_seconds:
            if answer.busy:
                return (
                    f"its kernel computed for {_spoken(self.busy_seconds + self.idle_seconds)} without a sign of life"
                )
            return f"nothing happened in it for {_spoken(self.idle_seconds)}"
        return "its server no longer answered" if self._is_lost(seen) else ""

    def _is_lost(self, seen: Session) -> bool:
        return seen.silent >= SILENCES or seen.unheard >= max(SILENCES, LONGEST_SILENCE / self.cull_seconds)

    def _is_too_old(self, session: Session) -> bool:
        return bool(self.max_age_seconds) and self.clock.now() - session.created_at > self.max_age_seconds

    def _seen(self, seen: Session, activity: Activity | None, in_doubt: bool) -> Session:
        if activity is None:
            count = seen.silent if in_doubt else seen.silent + 1
            return seen.model_copy(update={"silent": count, "unheard": seen.unheard + 1})
        now = self.clock.now()
        # A kernel that waits for somebody's input is busy, too: for ever, once they have left.
        believed = activity.busy and not (self.busy_seconds and now - activity.last > self.busy_seconds)
        last = now if believed else max(activity.last, seen.last_activity)
        return seen.model_copy(update={"silent": 0, "unheard": 0, "last_activity": last})


def _are_of_one_client(silent: list[Session], asked: list[Session], answers: Answers) -> bool:
    """Return whether one client's sessions alone are silent, and another's answer: that is that client's doing, not the network's."""
    clients = {session.client for session in silent}
    others = any(answers[session.id] and session.client not in clients for session in asked)
    return len(clients) == 1 and "" not in clients and others


def _spoken(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} seconds"
