"""A launch's place in the queue for a build slot, sent to its streams when it changes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bindery.domain.errors import Retryable
from bindery.domain.launch import Event, Launch, Phase, Stage
from bindery.domain.launch_request import StreamCursor, StreamEvent
from bindery.web.errors.text import one_line

SOONEST_LOOK, LATEST_LOOK = 1.0, 30.0
TURN = "The build's turn has come. Waiting for it to start...\n"


def words_of_place(before: int, refusal: str = "") -> str:
    """Return the place in words.

    before: number of builds before this one. refusal: the build service's message if it takes no more builds for now.
    """
    match before:
        case 0:
            ahead = "this build is next"
        case 1:
            ahead = "1 build is before this one"
        case _:
            ahead = f"{before} builds are before this one"
    if refusal:
        words = one_line(refusal).rstrip(". ")
        return f"Waiting for the build service: {ahead}. It is asked again every minute; the last time {words}.\n"
    return f"Waiting for a build slot: {ahead}.\n"


@dataclass
class QueuePositions:
    """Places that one stream has sent.

    ask: returns how many builds are before the launch's build; None: it does not wait, or no longer waits.

    why: returns the build service's refusal, if the build waits for that; empty if not.

    It asks while the build has no log lines yet, ever more rarely. A place is no event of the launch: a client that reconnects
    gets it again.
    """

    ask: Callable[[Launch], int | None]
    clock: Callable[[], float] = time.monotonic
    why: Callable[[Launch], str] = lambda _: ""
    _last_sent: tuple[int | None, str] = field(default=(None, ""), init=False)
    _begun: float = field(default=-1, init=False)
    _next: float = field(default=0, init=False)

    def due(self, launch: Launch, cursor: StreamCursor) -> bool:
        """Return True if it is time to ask."""
        silent = cursor.line is None or cursor.line < 0
        return launch.stage is Stage.BUILDING and silent and self.clock() >= self._next

    def news(self, launch: Launch, cursor: StreamCursor) -> list[StreamEvent]:
        """Return at most one event, with the cursor unchanged."""
        now = self.clock()
        self._begun = now if self._begun < 0 else self._begun
        self._next = now + min(LATEST_LOOK, max(SOONEST_LOOK, (now - self._begun) / 10))
        try:
            before = self.ask(launch)
            refusal = "" if before is None else self.why(launch)
        except Retryable:  # the next look may succeed
            return []
        if (before, refusal) == self._last_sent:
            return []
        self._last_sent = (before, refusal)
        message = TURN if before is None else words_of_place(before, refusal)
        return [StreamEvent(Event(phase=Phase.WAITING, message=message), cursor)]
