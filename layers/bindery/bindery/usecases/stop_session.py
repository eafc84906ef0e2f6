"""Stop a session: mark it, delete its objects, record its end. Sessions end in no other way."""

from dataclasses import dataclass

from bindery.domain.messages import StopRequested
from bindery.ports.session_launcher import SessionLauncher
from bindery.state.sessions import Sessions


@dataclass(frozen=True)
class StopSession:
    """Stopper of sessions. After a crash, the next message continues the stop. Objects without a record are deleted, too."""

    sessions: Sessions
    launcher: SessionLauncher

    def __call__(self, message: StopRequested) -> None:
        self.sessions.mark_stopping(message.session, message.reason)
        self.launcher.stop(message.session)
        self.sessions.mark_ended(message.session)
