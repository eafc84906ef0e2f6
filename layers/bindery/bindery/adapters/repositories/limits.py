"""When a host says: not now."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from bindery.domain.errors import HostLimited

RESETS = ("x-ratelimit-reset", "ratelimit-reset")
"""UTC seconds; each host has its own name for it."""
A_WHILE = 60.0
LONGEST = 24 * 3600.0


def host_limited(host: str, headers: Mapping[str, str], now: float) -> HostLimited:
    """The fact with the host's own time: `Retry-After` (seconds or a date), else when its count begins anew, else a minute on."""
    named = {name.lower(): value for name, value in headers.items()}
    at = _after(named.get("retry-after", ""), now)
    for name in RESETS:
        at = _number(named.get(name, "")) if at is None else at
    if at is None:
        at = now + A_WHILE
    return HostLimited(host=host, at=min(max(at, now), now + LONGEST))


def _after(value: str, now: float) -> float | None:
    seconds = _number(value)
    if seconds is not None:
        return now + seconds
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _number(value: str) -> float | None:
    return float(value) if value.isascii() and value.isdigit() and len(value) < 16 else None
