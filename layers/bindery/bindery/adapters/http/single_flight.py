"""One question at a time for one thing: whoever asks while it is under way gets its answer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from bindery.domain.errors import BinderyError, HostUnreachable

T = TypeVar("T")

PATIENCE_SECONDS: Final = 5.0
"""So long others wait for whoever was first: a host that hangs must not hold all workers."""


class SingleFlight(Generic[T]):
    """Questions under way in this process, by key. seconds: the longest that others wait for the first one's answer."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[T]] = {}

    def one(self, key: str, ask: Callable[[], T], host: str = "its host") -> T:
        """What `ask` answers or raises, asked here or by whoever was first, or HostUnreachable about `host`."""
        with self._lock:
            first = self._under_way.get(key)
            if first is None:
                mine = self._under_way[key] = Future[T]()
        if first is not None:
            return self._followed(first, host)
        try:
            mine.set_result(ask())
        except BinderyError as error:
            mine.set_exception(error)
        finally:
            mine.cancel()  # nothing if it is done; else nobody waits for what will never come
            with self._lock:
                del self._under_way[key]
        return mine.result()

    def _followed(self, first: Future[T], host: str) -> T:
        try:
            return first.result(self._seconds)
        except TimeoutError:
            raise HostUnreachable(host=host, why="it has not yet answered whoever asked the same before") from None
