"""Who is to be stopped: lets a start that fetches content know that somebody waits for its end."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

ALL = ""


class Stops:
    """closed: set once no session may begin any more."""

    def __init__(self) -> None:
        self.closed = False
        self._guard = threading.Lock()
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def of(self, session: str) -> Iterator[None]:
        """As long as it lasts, the session (or ALL of them) is to be stopped."""
        with self._guard:
            self._waiting[session] += 1
        try:
            yield
        finally:
            with self._guard:
                self._waiting[session] -= 1
                if not self._waiting[session]:
                    del self._waiting[session]

    def asked(self, session: str) -> bool:
        return self.closed or session in self._waiting or ALL in self._waiting
