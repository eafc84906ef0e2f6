"""Limit on concurrent exchanges with one host: a hanging host blocks few workers, however many visitors request it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bindery.domain.errors import HostUnreachable

AT_ONCE: Final = 3
TOO_MANY: Final = "too many requests to it are under way; try again in a moment"
SLICE_SECONDS: Final = 0.5
"""Interval at which a waiting exchange checks if it was stopped."""


@dataclass(frozen=True)
class Queueing:
    """Limits of one queue for turns. seconds: the longest wait for a turn.

    quiet_seconds: the longest wait while no exchange with the same host ends: all of them probably hang.
    at_once: concurrent exchanges. most_waiting: maximum of waiting exchanges; None: unlimited.
    """

    seconds: float
    quiet_seconds: float
    at_once: int = AT_ONCE
    most_waiting: int | None = None


@dataclass
class _Place:
    running: int = 0
    waiting: int = 0
    moved: float = 0


class ConcurrencyLimit:
    """Semaphore per key: at most `at_once` exchanges run at a time for each key."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._places: dict[str, _Place] = {}

    @contextmanager
    def turn(self, key: str, host: str, queueing: Queueing, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a turn and hold it in the block. Raises HostUnreachable about `host`. check: called while waiting; may raise."""
        with self._changed:
            place = self._places.setdefault(key, _Place())
            place.waiting += 1
            try:
                self._wait(place, host, queueing, check)
                place.running += 1
            finally:
                place.waiting -= 1
                self._forget(key, place)
        try:
            yield
        finally:
            with self._changed:
                place.running -= 1
                place.moved = time.monotonic()
                self._forget(key, place)
                self._changed.notify_all()

    def _wait(self, place: _Place, host: str, queueing: Queueing, check: Callable[[], None]) -> None:
        began = time.monotonic()
        while place.running >= queueing.at_once:
            check()
            if queueing.most_waiting is not None and place.waiting > queueing.most_waiting:
                raise HostUnreachable(host=host, why=TOO_MANY)
            end = min(began + queueing.seconds, max(began, place.moved) + queueing.quiet_seconds)
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise HostUnreachable(host=host, why=TOO_MANY)
            self._changed.wait(min(remaining, SLICE_SECONDS))

    def _forget(self, key: str, place: _Place) -> None:
        if not place.running and not place.waiting:
            self._places.pop(key, None)
