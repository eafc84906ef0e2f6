"""When a stream looks at its launch again. Where the process that writes tells, streams need not ask again and again.

That asking was half of the processor time that the control plane took for a launch, on the machine that the session
starts on.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SOONEST, LATEST = 0.02, 2.0  # seconds between two looks, ever more of them
SELDOM = 0.25  # the same where there is word: another process may write, too
Waiting = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class ChangeNotifier:
    """What was written in this process, for its streams. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Waiting]] = defaultdict(set)

    def written(self, key: str) -> None:
        """Wakes who waits for the key."""
        with self._lock:
            waiting = list(self._waiting.get(key, ()))
        for loop, event in waiting:
            with suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(event.set)

    @contextmanager
    def of(self, key: str) -> Iterator[asyncio.Event]:
        """Set whenever the key was written, while the block lasts."""
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
    """The pauses of one stream. word: set when there is something new; None where nobody tells."""

    def __init__(self, word: asyncio.Event | None) -> None:
        self._word = word
        self._begun = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the stream began."""
        return time.monotonic() - self._begun

    def begin(self) -> None:
        """What is written from now on is new."""
        if self._word:
            self._word.clear()

    async def pause(self, *, word_comes: bool) -> None:
        """word_comes: whether what there is to tell next is told as a change of the launch."""
        soonest = SELDOM if self._word and word_comes else SOONEST
        with suppress(TimeoutError):
            async with asyncio.timeout(min(LATEST, max(soonest, self.age / 40))):
                await (self._word or asyncio.Event()).wait()
