"""Read the news of a launch: its own events, and the log lines of its build."""

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
    """Reader of launches. It writes no record; any number of clients may follow one launch."""

    launches: Launches
    sessions: Sessions
    logs: BuildLogs
    slots: BuildSlots

    def __call__(self, launch: str, cursor: StreamCursor) -> tuple[Launch, list[StreamEvent]]:
        record = self.launches.get(launch)
        news: list[StreamEvent] = []
        for event in record.events[cursor.events :]:
            if event.phase in AFTER_THE_LOG:
                cursor = self._lines(record, cursor, news, gap_seconds=0)  # the log is not read again after this event
            elif event == WAITING:
                cursor = self._beginning(record, cursor)
            cursor = StreamCursor(cursor.events + 1, cursor.attempt, cursor.line)
            news.append(StreamEvent(event, cursor))
        if record.stage is Stage.BUILDING:
            self._lines(record, cursor, news)
        return record, news

    def _lines(
        self, launch: Launch, cursor: StreamCursor, news: list[StreamEvent], gap_seconds: float = GAP_SECONDS
    ) -> StreamCursor:
        if not launch.attempt or WAITING not in launch.events:  # the launch never waited for a build
            return cursor
        cursor = self._beginning(launch, cursor)
        line = -1 if cursor.line is None else cursor.line
        while lines := self.logs.read(launch.environment, launch.attempt, line, gap_seconds):
            for read in lines:
                event = Event(phase=Phase(read.phase), message=read.message)
                news.append(StreamEvent(event, StreamCursor(cursor.events, launch.attempt, read.number)))
            line = lines[-1].number
        return StreamCursor(cursor.events, launch.attempt, line)

    def _beginning(self, launch: Launch, cursor: StreamCursor) -> StreamCursor:
        """Return the cursor at which the log begins for this client: a late client gets the last lines, an early client gets all lines."""
        if cursor.attempt == launch.attempt and cursor.line is not None:
            return cursor
        return StreamCursor(cursor.events, launch.attempt, self.logs.tail_start(launch.environment, launch.attempt))

    def builds_before(self, launch: Launch) -> int | None:
        """Return how many builds are before the launch's build in the queue; None if it does not wait for a slot."""
        return self.slots.before(launch.environment, launch.attempt) if launch.stage is Stage.BUILDING else None

    def builds_refused(self, launch: Launch) -> str:
        """Return the build service's words if it did not take the launch's build for now; else an empty string."""
        return self.slots.refusal(launch.environment, launch.attempt) if launch.stage is Stage.BUILDING else ""

    def session(self, launch: Launch) -> Session | Failure:
        """Return the running session of a ready launch, or the reason why it has ended."""
        session = self.sessions.find(launch.session) if launch.session else None
        if session and session.state is SessionState.RUNNING:
            return session
        return Failure(kind="SessionEnded", facts={"reason": session.reason if session else "it is long over"})
