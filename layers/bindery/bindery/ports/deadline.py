"""The time that one step of a launch may spend on hosts, over everything that it asks of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from bindery.domain.errors import HostTooSlow, HostUnreachable

_UNTIL: Final[ContextVar[float | None]] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let everything that is asked of hosts in this context take at most `seconds` together.

    Raises HostTooSlow, which is not retried, in place of the HostUnreachable that the end of this time led to.
    """
    until = time.monotonic() + seconds
    token = _UNTIL.set(until)
    try:
        yield
    except HostUnreachable as error:
        if time.monotonic() < until:
            raise
        raise HostTooSlow(host=error.facts["host"], seconds=round(seconds)) from error
    finally:
        _UNTIL.reset(token)


def most(seconds: float) -> float:
    """Return the seconds that a request may take: at most what the step has left, which may be nothing."""
    until = _UNTIL.get()
    return seconds if until is None else min(seconds, until - time.monotonic())
