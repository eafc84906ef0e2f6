"""When a host says: not now."""

import threading
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
        self._lock = threading.Lock()
        self._until: dict[str, tuple[float, bool]] = {}

    def check(self, host: str, now: float, *, free: bool = False) -> None:
        """HostLimited while the host has us wait. free: it may not count the question, such as whether something changed."""
        with self._lock:
            until, strict = self._until.get(host, (0.0, False))
        if now < until and (strict or not free):
            raise HostLimited(host=host, at=until)

    def told(self, host: str, headers: Mapping[str, str], now: float) -> HostLimited:
        """The fact, remembered; of too many the one that was told first is forgotten. host: the one that answered.

        A host that names the seconds to wait means every question.
        """
        fact = host_limited(host, headers, now)
        strict = any(name.lower() == "retry-after" for name in headers)
        with self._lock:
            self._until.pop(host, None)
            if len(self._until) >= REMEMBERED:
                del self._until[next(iter(self._until))]
            self._until[host] = float(fact.facts["at"]), strict
        return fact

    def heard(self, host: str, status: int, headers: Mapping[str, str], now: float) -> None:
        """Remembers what an answer says of waiting; HostLimited if it says nothing else.

        `Retry-After` alone says nothing: some send it with every answer.
        """
        if status == 429 or used_up({name.lower(): value for name, value in headers.items()}):
            limited = self.told(host, headers, now)
            if status in {403, 429}:
                raise limited


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
