"""Registry of the steps that run in this process. They have not crashed, however long they take."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class RunningHere:
    """Thread-safe registry.

    A function on AWS runs one step at a time, and ends it at its timeout; a process on one machine does neither.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: Counter[tuple[str, int]] = Counter()

    @contextmanager
    def running(self, launch: str, step: int) -> Iterator[None]:
        """Register the step while the block runs."""
        with self._lock:
            self._steps[launch, step] += 1
        try:
            yield
        finally:
            with self._lock:
                self._steps[launch, step] -= 1
                if not self._steps[launch, step]:
                    del self._steps[launch, step]

    def runs(self, launch: str, step: int) -> bool:
        """Return True if the step runs in this process."""
        with self._lock:
            return self._steps[launch, step] > 0
