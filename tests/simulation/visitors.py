"""Visitors of launches: they read the messages, reload, come back, leave, and stop their own launches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from bindery.bootstrap import System
from bindery.domain.errors import BinderyError, Retryable
from bindery.domain.launch import Launch, Stage
from bindery.domain.launch_request import LaunchRequest, OpenedLaunch, StreamCursor
from bindery.domain.sessions import Session, SessionState
from tests.simulation.around import Around
from tests.simulation.broken import Broken
from tests.simulation.tasks import Killed

T = TypeVar("T")
GIVES_UP_SECONDS = 3600
COMES_BACK = 0.3


@dataclass
class Visitor:
    """A visitor.

    address: the client's. stops: called with a launch that is about to be stopped. messages: those so far, as
    text.
    attentive: seconds between two looks, about.
    """

    name: str
    spec: str
    build_only: bool
    system: System
    around: Around
    stops: Callable[[str], None]
    attentive: float = 10
    address: str = "203.0.113.9"
    launch: str = ""
    refused: str = ""
    token: str = ""
    messages: list[str] = field(default_factory=list)

    def live(self) -> None:
        """Live from the click to the end."""
        clock, random = self.around.clock, self.around.random
        now = clock.now()
        if random.random() < 0.7:
            self.token = self.system.tokens.build_token(f"gh/{self.spec}", "", clock.random_id(), now + 300)
        stops = random.random() * 300 if self.around.happens("visitor_stops") else None
        event_id = ""
        while clock.now() < now + GIVES_UP_SECONDS:
            opened = self._trying(partial(self._open, event_id))
            if opened is None:
                return
            event_id = self._watch(opened, None if stops is None else now + stops)
            if not event_id:
                return
            if self.token and random.random() < 0.5:
                event_id = ""  # a reload of the page knows only the token

    def _open(self, event_id: str) -> OpenedLaunch | None:
        request = LaunchRequest(
            provider="gh",
            spec=self.spec,
            client=self.address,
            launch_host="https://bindery.example/",
            own_origin="https://bindery.example",
            build_token=self.token,
            last_event_id=event_id,
            build_only=self.build_only,
        )
        try:
            opened = self.system.open_launch(request)
        except Retryable:
            raise
        except BinderyError as error:
            self.refused = type(error).__name__
            if self.launch:
                raise Broken(f"a visitor who came back was refused: {error}", self.launch) from error
            return None
        if self.launch and self.launch != opened.launch.id:
            raise Broken(f"one visitor was led to two launches, {self.launch} too", opened.launch.id)
        self.launch = opened.launch.id
        return opened

    def _watch(self, opened: OpenedLaunch, stops: float | None) -> str:
        """Watch until the launch has ended (empty), or return an event id to come back with."""
        cursor = StreamCursor.read(opened.cursor)
        while True:
            if stops is not None and self.around.clock.now() >= stops:
                self.stops(opened.launch.id)
                self._trying(lambda: self.system.stop_launch(opened.launch.id))
                stops = None
            try:
                launch, steps = self.system.follow_launch(opened.launch.id, cursor)
            except (Retryable, Killed):
                return self._back_with(opened.launch.id, cursor)
            for step in steps:
                cursor = step.cursor
                self.messages.append(step.event.message)
            if launch.ended:
                self._end(launch)
                if self.around.random.random() < COMES_BACK:
                    self.around.wait(self.around.random.random() * 1500)
                    self._end(launch)
                return ""
            if self.around.happens("visitor_leaves") and self.around.random.random() < 0.05:
                return ""
            if self.around.happens("visitor_reloads") and self.around.random.random() < 0.1:
                return self._back_with(opened.launch.id, cursor)
            self.around.wait(self.attentive * (0.1 + 1.9 * self.around.random.random()))

    def _back_with(self, launch: str, cursor: StreamCursor) -> str:
        self.around.wait(0.5 + self.around.random.random() * 5)
        return self.system.tokens.event_id(launch, str(cursor))

    def _end(self, launch: Launch) -> None:
        """Check the session that a visitor gets from a launch that is ready, or was."""
        if launch.stage is not Stage.READY or launch.build_only:
            return
        session = self._trying(lambda: self.system.follow_launch.session(launch))
        if isinstance(session, Session) and (session.id, session.owner) != (launch.id, launch.owner):
            raise Broken("a visitor was given another's session", launch.id)
        if isinstance(session, Session) and session.state is not SessionState.RUNNING:
            raise Broken(f"a visitor was sent to a session that is {session.state}", launch.id)

    def _trying(self, work: Callable[[], T]) -> T | None:
        """Try a few times, as people do when a request fails."""
        for _ in range(20):
            try:
                return work()
            except (Retryable, Killed):
                self.around.wait(1 + self.around.random.random() * 5)
        return None
