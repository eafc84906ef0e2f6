"""A host that does not answer is left alone for a while: those who ask for it are told at once, and since when."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bindery.domain.errors import HostDown, HostUnreachable

IN_A_ROW: Final = 5
"""So many questions, none of them answered by a single byte. Who asks for a slow repository of a host that is well cannot get there."""
ALONE_SECONDS: Final = 30
REMEMBERED: Final = 1000


@dataclass
class _Silence:
    since: float
    failures: int = 0
    until: float = 0


class CircuitBreakers:
    """Each process has its own. now: UTC seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._silences: dict[str, _Silence] = {}

    @contextmanager
    def errand(self, key: str, host: str, heard: Callable[[bool], bool | None]) -> Iterator[None]:
        """One errand, or HostDown at once.

        heard: whether the host answered anything, given whether it was found unreachable; None: nothing is known of it.
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

    def _note(self, key: str, heard: bool | None, tries: bool) -> None:
        with self._lock:
            if heard:
                self._silences.pop(key, None)
            elif heard is None and tries and key in self._silences:
                self._silences[key].until = 0  # it found nothing out: the next one tries
            if heard is not False:
                return
            if len(self._silences) >= REMEMBERED:
                self._silences.clear()
            silence = self._silences.setdefault(key, _Silence(self._now()))
            silence.failures += 1
            if silence.failures >= IN_A_ROW:
                silence.until = self._now() + ALONE_SECONDS

    def _check(self, key: str, host: str) -> bool:
        """Return whether this errand is the one that tries a host that was silent. Raises HostDown for the others."""
        with self._lock:
            silence = self._silences.get(key)
            if silence is None or silence.failures < IN_A_ROW:
                return False
            if self._now() < silence.until:
                raise HostDown(host=host, since=silence.since)
            silence.until = self._now() + ALONE_SECONDS  # the others wait for what this one finds
            return True
