"""When a host says: not now."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from bindery.domain.errors import HostLimited

RESETS = ("x-ratelimit-reset", "ratelimit-reset")
"""UTC seconds; each host has its own name for it."""
REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining")
A_WHILE = 60.0
REMEMBERED = 1000
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


def used_up(headers: Mapping[str, str]) -> bool:
    """Whether a host counts what it is asked, and the next question is one too many. headers: names in lower case."""
    return any(headers.get(name) == "0" for name in REMAINING)


class Limits:
    """What hosts' APIs said of waiting, in this process, whichever provider heard it."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, bool]] = {}

    def check(self, host: str, now: float, *, free: bool = False) -> None:
        """HostLimited while the host has us wait. free: it may not count the question, such as whether something changed."""
        until, strict = self._until.get(host, (0.0, False))
        if now < until and (strict or not free):
            raise HostLimited(host=host, at=until)

    def told(self, host: str, headers: Mapping[str, str], now: float) -> HostLimited:
        """The fact, remembered. A host that names the seconds to wait means every question."""
        fact = host_limited(host, headers, now)
        if len(self._until) >= REMEMBERED:
            self._until.clear()
        self._until[host] = float(fact.facts["at"]), any(name.lower() == "retry-after" for name in headers)
        return fact


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
