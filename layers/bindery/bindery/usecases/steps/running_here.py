"""The steps that this process runs just now, which have not crashed however long they take."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class RunningHere:
    """Thread-safe. A function on AWS runs one step at a time, and ends it at its timeout; a process on one machine does neither."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: Counter[tuple[str, int]] = Counter()

    @contextmanager
    def running(self, launch: str, step: int) -> Iterator[None]:
        """Count the step in, and out again when it ends."""
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
        """Whether the step runs in this process."""
        with self._lock:
            return self._steps[launch, step] > 0
