"""Sharing of identical concurrent requests: later callers get the response of the request that is under way."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from bindery.domain.errors import BinderyError, HostUnreachable

T = TypeVar("T")

PATIENCE_SECONDS: Final = 5.0
"""The longest wait of later callers for the first caller: a hanging host must not block all workers."""


class SingleFlight(Generic[T]):
    """Requests under way in this process, by key. seconds: the longest wait of later callers for the first caller's response."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[T]] = {}

    def run(self, key: str, ask: Callable[[], T], host: str = "its host") -> T:
        """Return the result of `ask`, or raise its error. Only the first caller of a key calls `ask`.

        Raises HostUnreachable about `host` if the wait of a later caller times out.
        """
        with self._lock:
            first = self._under_way.get(key)
            if first is None:
                future = self._under_way[key] = Future[T]()
        if first is not None:
            return self._wait_for(first, host)
        try:
            future.set_result(ask())
        except BinderyError as error:
            future.set_exception(error)
        finally:
            future.cancel()  # no effect on a finished future; else it ends the wait of the later callers
            with self._lock:
                del self._under_way[key]
        return future.result()

    def _wait_for(self, first: Future[T], host: str) -> T:
        try:
            return first.result(self._seconds)
        except TimeoutError:
            raise HostUnreachable(host=host, why="it has not yet answered an earlier request for the same") from None
