"""What there is to tell of a launch since the last look: its own events, and the lines of the build it waits for."""

from dataclasses import dataclass

from bindery.domain.failure import Failure
from bindery.domain.launch import WAITING, Event, Launch, Phase, Stage
from bindery.domain.launch_request import StreamCursor, StreamEvent
from bindery.domain.sessions import Session, SessionState
from bindery.state.build_logs import GAP_SECONDS, BuildLogs
from bindery.state.build_slots import BuildSlots
from bindery.state.launches import Launches
from bindery.state.sessions import Sessions

AFTER_THE_LOG = frozenset({Phase.BUILT, Phase.READY, Phase.FAILED})


@dataclass(frozen=True)
class FollowLaunch:
    """Reads only; any number of clients may follow one launch."""

    launches: Launches
    sessions: Sessions
    logs: BuildLogs
    slots: BuildSlots

    def __call__(self, launch: str, told: StreamCursor) -> tuple[Launch, list[StreamEvent]]:
        now = self.launches.get(launch)
        tellings: list[StreamEvent] = []
        for event in now.events[told.events :]:
            if event.phase in AFTER_THE_LOG:
                told = self._lines(now, told, tellings, gap_seconds=0)  # the log is not read again after this event
            elif event == WAITING:
                told = self._beginning(now, told)
            told = StreamCursor(told.events + 1, told.attempt, told.line)
            tellings.append(StreamEvent(event, told))
        if now.stage is Stage.BUILDING:
            self._lines(now, told, tellings)
        return now, tellings

    def _lines(
        self, launch: Launch, told: StreamCursor, tellings: list[StreamEvent], gap_seconds: float = GAP_SECONDS
    ) -> StreamCursor:
        if not launch.attempt or WAITING not in launch.events:  # it never waited for a build
            return told
        told = self._beginning(launch, told)
        line = -1 if told.line is None else told.line
        while lines := self.logs.read(launch.environment, launch.attempt, line, gap_seconds):
            for read in lines:
                event = Event(phase=Phase(read.phase), message=read.message)
                tellings.append(StreamEvent(event, StreamCursor(told.events, launch.attempt, read.number)))
            line = lines[-1].number
        return StreamCursor(told.events, launch.attempt, line)

    def _beginning(self, launch: Launch, told: StreamCursor) -> StreamCursor:
        """Where the log begins for this client: whoever comes late hears its last lines, whoever was there all of it."""
        if told.attempt == launch.attempt and told.line is not None:
            return told
        return StreamCursor(told.events, launch.attempt, self.logs.tail_start(launch.environment, launch.attempt))

    def builds_before(self, launch: Launch) -> int | None:
        """How many builds are before the launch's own in line; None if it does not wait for a slot."""
        return self.slots.before(launch.environment, launch.attempt) if launch.stage is Stage.BUILDING else None

    def builds_refused(self, launch: Launch) -> str:
        """Return the build service's words if it did not take the launch's build for now; else an empty string."""
        return self.slots.refusal(launch.environment, launch.attempt) if launch.stage is Stage.BUILDING else ""

    def session(self, launch: Launch) -> Session | Failure:
        """The running session of a launch that is ready, or why there is none any more."""
        session = self.sessions.find(launch.session) if launch.session else None
        if session and session.state is SessionState.RUNNING:
            return session
        return Failure(kind="SessionEnded", facts={"reason": session.reason if session else "it is long over"})
