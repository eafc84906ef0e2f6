"""When a host says: not now."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from bindery.domain.errors import HostLimited

A_WHILE = 60.0
LONGEST = 24 * 3600.0


def host_limited(host: str, headers: Mapping[str, str], now: float) -> HostLimited:
    """The fact with the host's own time: `Retry-After` (seconds or a date), else `X-RateLimit-Reset` (UTC seconds), else a minute on."""
    at = _after(headers.get("Retry-After") or headers.get("retry-after") or "", now)
    if at is None:
        at = _number(headers.get("X-RateLimit-Reset") or headers.get("x-ratelimit-reset") or "")
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
