"""Pool of build threads: a few work at a time, and no caller has to wait for them."""

import threading
from collections import deque
from collections.abc import Callable

Work = Callable[[], None]


class Turns:
    """Pool of `slots` threads with a queue. Threads are daemons: a thread that hangs does not keep the process alive."""

    def __init__(self, slots: int) -> None:
        self._slots = self._free = slots
        self._waiting: deque[Work] = deque()
        self._changed = threading.Condition()

    def take(self, work: Work) -> None:
        """Queue the work."""
        with self._changed:
            self._waiting.append(work)
            self._go_on()

    def give_up(self, work: Work) -> bool:
        """Remove the work from the queue. Return True if it was still waiting."""
        with self._changed:
            try:
                self._waiting.remove(work)
            except ValueError:
                return False
            return True

    def wait(self, seconds: float) -> bool:
        """Return True if all work has been done within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._free == self._slots, seconds)

    def _go_on(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            threading.Thread(target=self._do, args=[self._waiting.popleft()], name="build", daemon=True).start()

    def _do(self, work: Work) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._free += 1
                self._go_on()
                self._changed.notify_all()
