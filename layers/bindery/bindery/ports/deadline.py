"""Deadline for the requests to hosts that one step of a launch makes, all of them together."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from bindery.domain.errors import HostTooSlow, HostUnreachable

_UNTIL: Final[ContextVar[float | None]] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit all requests to hosts in this context to `seconds` together.

    Raises HostTooSlow, which is not retried, instead of a HostUnreachable that is raised after the deadline.
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
    """Return the timeout of a request in seconds: at most the time that the step has left, which may be zero or negative."""
    until = _UNTIL.get()
    return seconds if until is None else min(seconds, until - time.monotonic())
