"""One question at a time for one thing: whoever asks while it is under way gets its answer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from bindery.domain.errors import BinderyError

T = TypeVar("T")


class Flights(Generic[T]):
    """Questions under way in this process, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[T]] = {}

    def one(self, key: str, ask: Callable[[], T]) -> T:
        """What `ask` answers or raises, asked here or by whoever was first."""
        with self._lock:
            first = self._under_way.get(key)
            if first is None:
                mine = self._under_way[key] = Future[T]()
        if first is not None:
            return first.result()
        try:
            mine.set_result(ask())
        except BinderyError as error:
            mine.set_exception(error)
        finally:
            mine.cancel()  # nothing if it is done; else nobody waits for what will never come
            with self._lock:
                del self._under_way[key]
        return mine.result()
