"""Circuit breakers: requests to a silent host fail at once for a while, with the time since it has been silent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bindery.domain.errors import HostDown, HostUnreachable

IN_A_ROW: Final = 5
"""Requests in a row without a single byte in response. Requests for a slow repository of a healthy host cannot open the circuit."""
ALONE_SECONDS: Final = 30
REMEMBERED: Final = 1000


@dataclass
class _Silence:
    since: float
    failures: int = 0
    until: float = 0


class CircuitBreakers:
    """Circuit breakers of this process, by key. now: UTC seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._silences: dict[str, _Silence] = {}

    @contextmanager
    def errand(self, key: str, host: str, heard: Callable[[bool], bool | None]) -> Iterator[None]:
        """Run one exchange with the host. Raises HostDown at once while its circuit is open.

        heard: called with True if HostUnreachable was raised; returns True if the host sent a response, False if it was
        silent, None if unknown.
        """
        tries = self._check(key, host)
        unreachable = False
        try:
            yield
        except HostUnreachable:
            unreachable = True
            raise
        finally:
            self._note(key, heard(unreachable), tries)

    def _note(self, key: str, responded: bool | None, tries: bool) -> None:
        with self._lock:
            if responded:
                self._silences.pop(key, None)
            elif responded is None and tries and key in self._silences:
                self._silences[key].until = 0  # no result: the next exchange probes the host
            if responded is not False:
                return
            if len(self._silences) >= REMEMBERED:
                self._silences.clear()
            silence = self._silences.setdefault(key, _Silence(self._now()))
            silence.failures += 1
            if silence.failures >= IN_A_ROW:
                silence.until = self._now() + ALONE_SECONDS

    def _check(self, key: str, host: str) -> bool:
        """Return True if this exchange probes a silent host. Raises HostDown for the other exchanges."""
        with self._lock:
            silence = self._silences.get(key)
            if silence is None or silence.failures < IN_A_ROW:
                return False
            if self._now() < silence.until:
                raise HostDown(host=host, since=silence.since)
            silence.until = self._now() + ALONE_SECONDS  # the others wait for this probe
            return True
