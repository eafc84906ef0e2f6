"""Rate limits of hosts: parsing them from responses, and remembering them per server and credential."""

import hashlib
import re
import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from bindery.adapters.http.address_rules import parsed
from bindery.domain.errors import HostBusy, HostLimited

RESETS = ("x-ratelimit-reset", "ratelimit-reset")
"""Headers with the reset time in UTC seconds; the name depends on the host."""
REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining")
READ_BYTES: Final = 4096
"""Bytes that are read of a refusal's body."""
NAMES_A_LIMIT: Final = re.compile(rb"rate limit|abuse detection|too many requests", re.IGNORECASE)
DEFAULT_WAIT = 60.0
MOST_LIMITS = 1000
LONGEST_WAIT = 24 * 3600.0
LONGEST_WAIT_ELSEWHERE = 300.0
"""Maximum seconds that a wait from a redirect's target is remembered. A visitor may have chosen the address: it may be one page of a
host that others use, too."""


def rate_limit_error(
    host: str, headers: Mapping[str, str], now: float, kind: type[HostLimited] = HostLimited
) -> HostLimited:
    """Return the error with the time of the next request: `Retry-After` (seconds or a date), else the quota's reset, else in a minute.

    The quota's reset is ignored while the quota is not used up: another limit was exceeded then.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    at = _retry_time(lowered.get("retry-after", ""), now)
    remaining = [lowered[name] for name in REMAINING if name in lowered]
    for name in RESETS if not remaining or "0" in remaining else ():
        at = _number(lowered.get(name, "")) if at is None else at
    if at is None:
        at = now + DEFAULT_WAIT
    return kind(host=host, at=min(max(at, now), now + LONGEST_WAIT))


def is_rate_limit(status: int, headers: Mapping[str, str], body: bytes = b"") -> bool:
    """Return True if a refusal is a rate limit. headers: names in lower case.

    GitHub's secondary limit is a 403 without a time, while the quota is not used up. Only its message distinguishes it from other
    refusals (docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
    """
    if status != 403:
        return status == 429
    return used_up(headers) or bool(NAMES_A_LIMIT.search(body[:READ_BYTES]))


def used_up(headers: Mapping[str, str]) -> bool:
    """Return True if the host's request quota is used up. headers: names in lower case."""
    return any(headers.get(name) == "0" for name in REMAINING)


def longest_wait(requested: str, answered: str) -> float:
    """Return the maximum seconds that a wait is remembered. answered: the responding address, after redirects."""
    return LONGEST_WAIT if parsed(requested) == parsed(answered) else LONGEST_WAIT_ELSEWHERE


class RateLimits:
    """Rate limits of the servers, shared by all providers of this process.

    They are stored by host, port and credential: a server counts anonymous requests and each token apart, and the limit of one must
    not stop the others. url: the responding address. authorization: the header value that it received, or empty.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str, int, str], tuple[HostLimited, bool]] = {}

    def check(self, url: str, now: float, authorization: str = "", *, free: bool = False) -> None:
        """Raise HostLimited while the server's limit applies. free: the server may not count the request, such as a conditional one."""
        key = _key(url, authorization)
        with self._lock:
            fact, strict = self._until.get(key, (None, False))
        if fact and now < float(fact.facts["at"]) and (strict or not free):
            raise type(fact)(**fact.facts)

    def record(
        self,
        url: str,
        headers: Mapping[str, str],
        now: float,
        authorization: str = "",
        kind: type[HostLimited] = HostLimited,
        *,
        longest: float = LONGEST_WAIT,
    ) -> HostLimited:
        """Record the limit and return its error. Drop the oldest record if there are too many.

        The limit covers every request, free ones included, if the server names the seconds to wait or its quota is not used up.
        longest: maximum seconds that the limit is remembered.
        """
        key = _key(url, authorization)
        fact = rate_limit_error(key[0], headers, now, kind)
        lowered = {name.lower(): value for name, value in headers.items()}
        remaining = [lowered[name] for name in REMAINING if name in lowered]
        strict = "retry-after" in lowered or (bool(remaining) and "0" not in remaining)
        with self._lock:
            self._until.pop(key, None)
            if len(self._until) >= MOST_LIMITS:
                del self._until[next(iter(self._until))]
            self._until[key] = kind(host=key[0], at=min(float(fact.facts["at"]), now + longest)), strict
        return fact

    def record_response(
        self,
        url: str,
        status: int,
        headers: Mapping[str, str],
        now: float,
        authorization: str = "",
        *,
        body: bytes = b"",
        longest: float = LONGEST_WAIT,
    ) -> None:
        """Record the limit that a response contains. Raises HostLimited or HostBusy if the response is a refusal for that limit.

        `Retry-After` counts only with 429 and 503: some servers send it with every response. body: the beginning of a refusal's body.
        longest: as in `record`.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        if is_rate_limit(status, lowered, body):
            raise self.record(url, headers, now, authorization, longest=longest)
        if status == 503 and "retry-after" in lowered:
            raise self.record(url, headers, now, authorization, HostBusy, longest=longest)
        if used_up(lowered):
            self.record(url, headers, now, authorization, longest=longest)


def _key(url: str, authorization: str) -> tuple[str, int, str]:
    """Return host, port and a digest of the credential. The digest does not reveal the token."""
    address = parsed(url)
    digest = hashlib.sha256(authorization.encode()).hexdigest()[:16] if authorization else ""
    return address.host, address.port, digest


def _retry_time(value: str, now: float) -> float | None:
    seconds = _number(value)
    if seconds is not None:
        return now + seconds
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _number(value: str) -> float | None:
    return float(value) if value.isascii() and value.isdigit() and len(value) < 16 else None
