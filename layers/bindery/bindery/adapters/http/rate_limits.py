"""When a host says: not now."""

import hashlib
import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.refusals import asks_to_wait
from bindery.domain.errors import HostBusy, HostLimited

RESETS = ("x-ratelimit-reset", "ratelimit-reset")
"""UTC seconds; each host has its own name for it."""
REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining")
A_WHILE = 60.0
REMEMBERED = 1000
LONGEST = 24 * 3600.0
LONGEST_ELSEWHERE = 300.0
"""Seconds that a wait is remembered which an address asks for that a stranger may have named: one page of a host that others use, too."""


def host_limited(
    host: str, headers: Mapping[str, str], now: float, kind: type[HostLimited] = HostLimited
) -> HostLimited:
    """The fact with the host's own time: `Retry-After` (seconds or a date), else when its count begins anew, else a minute on.

    When the count begins anew says nothing where the count is not used up: it is another limit that was met then.
    """
    named = {name.lower(): value for name, value in headers.items()}
    at = _after(named.get("retry-after", ""), now)
    left = [named[name] for name in REMAINING if name in named]
    for name in RESETS if not left or "0" in left else ():
        at = _number(named.get(name, "")) if at is None else at
    if at is None:
        at = now + A_WHILE
    return kind(host=host, at=min(max(at, now), now + LONGEST))


def used_up(headers: Mapping[str, str]) -> bool:
    """Whether a host counts what it is asked, and the next question is one too many. headers: names in lower case."""
    return any(headers.get(name) == "0" for name in REMAINING)


def longest_wait(asked: str, answered: str) -> float:
    """Return the seconds that a wait is remembered. answered: the address that answered, where redirects of the asked one led."""
    return LONGEST if parsed(asked) == parsed(answered) else LONGEST_ELSEWHERE


class Limits:
    """Until when each server has us wait, in this process, whichever provider heard it.

    Kept by host, port and credential: a server counts strangers and each token apart, and what it says to one request must not stop
    those that it counts elsewhere. url: the address that answered. authorization: the header's value that it was shown, or empty.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str, int, str], tuple[HostLimited, bool]] = {}

    def check(self, url: str, now: float, authorization: str = "", *, free: bool = False) -> None:
        """Raise HostLimited while the server has us wait. free: it may not count the request, such as whether something changed."""
        key = _account(url, authorization)
        with self._lock:
            fact, strict = self._until.get(key, (None, False))
        if fact and now < float(fact.facts["at"]) and (strict or not free):
            raise type(fact)(**fact.facts)

    def told(
        self,
        url: str,
        headers: Mapping[str, str],
        now: float,
        authorization: str = "",
        kind: type[HostLimited] = HostLimited,
        *,
        longest: float = LONGEST,
    ) -> HostLimited:
        """Return the fact, remembered; of too many the one that was told first is forgotten.

        A server that names the seconds to wait means every request, and so does one whose count is not used up.
        longest: seconds that it is remembered at most.
        """
        key = _account(url, authorization)
        fact = host_limited(key[0], headers, now, kind)
        named = {name.lower(): value for name, value in headers.items()}
        left = [named[name] for name in REMAINING if name in named]
        strict = "retry-after" in named or (bool(left) and "0" not in left)
        with self._lock:
            self._until.pop(key, None)
            if len(self._until) >= REMEMBERED:
                del self._until[next(iter(self._until))]
            self._until[key] = kind(host=key[0], at=min(float(fact.facts["at"]), now + longest)), strict
        return fact

    def heard(
        self,
        url: str,
        status: int,
        headers: Mapping[str, str],
        now: float,
        authorization: str = "",
        *,
        body: bytes = b"",
        longest: float = LONGEST,
    ) -> None:
        """Remember what an answer says of waiting. Raises HostLimited or HostBusy if it says nothing else.

        `Retry-After` says something only with 429 and 503: some servers send it with every answer. body: the beginning of a refusal's.
        longest: as in `told`.
        """
        named = {name.lower(): value for name, value in headers.items()}
        if asks_to_wait(status, named, body):
            raise self.told(url, headers, now, authorization, longest=longest)
        if status == 503 and "retry-after" in named:
            raise self.told(url, headers, now, authorization, HostBusy, longest=longest)
        if used_up(named):
            self.told(url, headers, now, authorization, longest=longest)


def _account(url: str, authorization: str) -> tuple[str, int, str]:
    """Host, port and a digest of the credential, which tells no token."""
    address = parsed(url)
    digest = hashlib.sha256(authorization.encode()).hexdigest()[:16] if authorization else ""
    return address.host, address.port, digest


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
