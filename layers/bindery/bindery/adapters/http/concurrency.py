"""Few errands at a time to one host: a host that hangs holds few workers, however many people ask for it."""

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
"""How often whoever waits looks whether it was stopped."""


@dataclass(frozen=True)
class Queueing:
    """seconds: the longest wait for a turn. quiet_seconds: the longest while no errand to the same host ends, as if all hang.

    at_once: errands that run at a time. most_waiting: errands that wait at a time; None: any number.
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
    """At most `at_once` errands run at a time for each key."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._places: dict[str, _Place] = {}

    @contextmanager
    def turn(self, key: str, host: str, queueing: Queueing, check: Callable[[], None]) -> Iterator[None]:
        """One errand's turn, or HostUnreachable about `host`. check: called while waiting; may raise."""
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
            left = end - time.monotonic()
            if left <= 0:
                raise HostUnreachable(host=host, why=TOO_MANY)
            self._changed.wait(min(left, SLICE_SECONDS))

    def _forget(self, key: str, place: _Place) -> None:
        if not place.running and not place.waiting:
            self._places.pop(key, None)
