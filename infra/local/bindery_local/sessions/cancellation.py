"""Cancellation of sessions: tells a start that is fetching content that a stop is waiting for it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

ALL = ""


class Stops:
    """Registry of sessions to be stopped. closed: True once no session may start any more."""

    def __init__(self) -> None:
        self.closed = False
        self._guard = threading.Lock()
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def of(self, session: str) -> Iterator[None]:
        """Mark the session (or ALL of them) as to be stopped, for the duration of the context."""
        with self._guard:
            self._waiting[session] += 1
        try:
            yield
        finally:
            with self._guard:
                self._waiting[session] -= 1
                if not self._waiting[session]:
                    del self._waiting[session]

    def is_stopping(self, session: str) -> bool:
        return self.closed or session in self._waiting or ALL in self._waiting
