"""The only way a session ends: marked, stopped, remembered as ended."""

from dataclasses import dataclass

from bindery.domain.messages import StopRequested
from bindery.ports.session_launcher import SessionLauncher
from bindery.state.sessions import Sessions


@dataclass(frozen=True)
class StopSession:
    """Whatever happens in between, the next one told goes on from there; what has no record is stopped all the same."""

    sessions: Sessions
    launcher: SessionLauncher

    def __call__(self, asked: StopRequested) -> None:
        self.sessions.stopping(asked.session, asked.reason)
        self.launcher.stop(asked.session)
        self.sessions.ended(asked.session)
