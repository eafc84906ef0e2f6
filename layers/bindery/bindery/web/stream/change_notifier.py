"""Wake event streams when a launch record changes in this process; otherwise streams poll.

Polling took half of the processor time that the control plane used for a launch, on the machine that the session starts on.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SOONEST, LATEST = 0.02, 2.0  # seconds between two polls; the pause grows
SELDOM = 0.25  # shortest pause with a notifier: another process may write, too
Waiting = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class ChangeNotifier:
    """Notifier of writes in this process, for its streams. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Waiting]] = defaultdict(set)

    def written(self, key: str) -> None:
        """Wake the streams that wait for the key."""
        with self._lock:
            waiting = list(self._waiting.get(key, ()))
        for loop, event in waiting:
            with suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(event.set)

    @contextmanager
    def of(self, key: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each write of the key, while the block lasts."""
        waiting = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._waiting[key].add(waiting)
        try:
            yield waiting[1]
        finally:
            with self._lock:
                self._waiting[key].discard(waiting)
                if not self._waiting[key]:
                    del self._waiting[key]


class PollInterval:
    """Pauses of one stream. changes: set when there is news; None without a notifier."""

    def __init__(self, changes: asyncio.Event | None) -> None:
        self._changes = changes
        self._begun = time.monotonic()

    @property
    def age(self) -> float:
        """Return the seconds since the stream began."""
        return time.monotonic() - self._begun

    def begin(self) -> None:
        """Clear the event: only later writes are news."""
        if self._changes:
            self._changes.clear()

    async def pause(self, *, notified: bool) -> None:
        """Wait for the next look. notified: True if the next news comes as a change of the launch."""
        soonest = SELDOM if self._changes and notified else SOONEST
        with suppress(TimeoutError):
            async with asyncio.timeout(min(LATEST, max(soonest, self.age / 40))):
                await (self._changes or asyncio.Event()).wait()
