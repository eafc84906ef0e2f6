"""Timer: ask due sessions for their activity; stop idle, too old and long silent sessions."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bindery.domain.messages import StopRequested
from bindery.domain.sessions import Activity, Session, SessionState
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.session_launcher import SessionLauncher
from bindery.state.counters import Counters
from bindery.state.sessions import ReadSession, Sessions

logger = logging.getLogger("bindery")
SILENCES = 3
LONGEST_SILENCE = 6 * 3600
"""Seconds. A session that does not answer for this long is stopped, even if the network looks ill."""
MANY_SHARE, MANY_COUNT = 0.1, 5
WRITE_SECONDS = 300
"""A session without news is written at most once per this many seconds. Until then it stays due, and is still asked.

After a sweep that could not ask all sessions, each asked session is written, so that it is due after the others.
"""
ACTIVITY_SECONDS = 40
Answers = Mapping[str, Activity | None]


@dataclass(frozen=True)
class CullSessions:
    """Sweep over all due sessions.

    idle_seconds, max_age_seconds: 0 means no limit. busy_seconds: a kernel that computes counts as active for this long without
    another sign of life; 0: for ever. cull_seconds: seconds between two checks of a session.

    A session is due again after half of cull_seconds. So a timer that fires a little early still sees all sessions: a few
    sessions do not show whether the network is ill. A sweep covers all due sessions and asks for ACTIVITY_SECONDS at most. Sessions
    that were not asked come first in the next sweep.

    One transaction writes a hundred sessions with news. A session that has to end is read again first.
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
        running = [listed for listed in self.sessions.due() if listed.session.state is SessionState.RUNNING]
        if not running:
            return
        addresses = {listed.session.id: (listed.session.url, listed.session.token) for listed in running}
        answers = self.launcher.activity(addresses, ACTIVITY_SECONDS)
        if unasked := len(running) - len(answers):
            logger.warning("%d of %d sessions were not asked: the sweep's time was over", unasked, len(running))
        in_doubt = self._network_is_ill([listed.session for listed in running if listed.session.id in answers], answers)
        staying, ending = [], []
        for listed in running:
            updated, reason = self._judged(listed.session, answers, in_doubt)
            if reason:
                ending.append(updated.id)
            elif updated.id in answers and (unasked or self._is_news(listed, updated)):
                staying.append(replace(listed, session=updated))
        self.sessions.record_checks(staying, self.cull_seconds / 2)
        for session in ending:
            self._end(session, answers, in_doubt)

    def _network_is_ill(self, sessions: list[Session], answers: Answers) -> bool:
        silent = [session for session in sessions if answers[session.id] is None]
        ill = len(silent) >= MANY_COUNT and len(silent) > len(sessions) * MANY_SHARE
        if ill and _are_of_one_client(silent, sessions, answers):
            return False
        if ill:
            logger.error("%d of %d sessions do not answer: none of them is ended now", len(silent), len(sessions))
            self.counters.add("bindery_sweeps_in_doubt")
        return ill

    def _is_news(self, listed: ReadSession, updated: Session) -> bool:
        return updated != listed.session or self.clock.now() - listed.due_at >= WRITE_SECONDS

    def _end(self, session: str, answers: Answers, in_doubt: bool) -> None:
        """Request the stop of a session, unless the session, read again, may stay."""
        current = self.sessions.find(session)
        if current and current.state is SessionState.RUNNING:
            _, reason = self._judged(current, answers, in_doubt)
            if reason:
                self.queue.send(StopRequested(session=session, reason=reason))

    def _judged(self, session: Session, answers: Answers, in_doubt: bool) -> tuple[Session, str]:
        """Return the session as updated by its answer, and the reason to stop it; an empty reason if it may stay.

        A session that was not asked can only be too old.
        """
        if self._is_too_old(session):
            return session, f"it was {_spoken(self.max_age_seconds)} old, the most a session may be"
        if session.id not in answers:
            return session, ""
        answer = answers[session.id]
        updated = self._with_activity(session, answer, in_doubt)
        return updated, self._why_over(updated, answer)

    def _why_over(self, session: Session, answer: Activity | None) -> str:
        if self.idle_seconds and answer and self.clock.now() - session.last_activity > self.idle_seconds:
            if answer.busy:
                return (
                    f"its kernel computed for {_spoken(self.busy_seconds + self.idle_seconds)} without a sign of life"
                )
            return f"nothing happened in it for {_spoken(self.idle_seconds)}"
        return "its server no longer answered" if self._is_lost(session) else ""

    def _is_lost(self, session: Session) -> bool:
        return session.silent >= SILENCES or session.unheard >= max(SILENCES, LONGEST_SILENCE / self.cull_seconds)

    def _is_too_old(self, session: Session) -> bool:
        return bool(self.max_age_seconds) and self.clock.now() - session.created_at > self.max_age_seconds

    def _with_activity(self, session: Session, activity: Activity | None, in_doubt: bool) -> Session:
        if activity is None:
            count = session.silent if in_doubt else session.silent + 1
            return session.model_copy(update={"silent": count, "unheard": session.unheard + 1})
        now = self.clock.now()
        # A kernel that waits for input is busy, too: for ever, once its user has left.
        active = activity.busy and not (self.busy_seconds and now - activity.last > self.busy_seconds)
        last = now if active else max(activity.last, session.last_activity)
        return session.model_copy(update={"silent": 0, "unheard": 0, "last_activity": last})


def _are_of_one_client(silent: list[Session], sessions: list[Session], answers: Answers) -> bool:
    """Return True if only one client's sessions are silent and another client's session answers.

    Then the client caused it, not the network.
    """
    clients = {session.client for session in silent}
    others = any(answers[session.id] and session.client not in clients for session in sessions)
    return len(clients) == 1 and "" not in clients and others


def _spoken(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} seconds"
