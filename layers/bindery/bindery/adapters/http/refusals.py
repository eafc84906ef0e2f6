"""Meaning of a host's refusal: a rate limit, a missing, empty or inaccessible repository, or an error of the host."""

import re
from collections.abc import Mapping
from typing import Final

from bindery.domain.errors import HostUnreachable, RepositoryBlocked, RepositoryGone, RepositoryNotFound

READ_BYTES: Final = 4096
"""Bytes that are read of a refusal's body."""
NAMES_A_LIMIT: Final = re.compile(rb"rate limit|abuse detection|too many requests", re.IGNORECASE)
NAMES_A_BLOCK: Final = re.compile(rb"access blocked|dmca|unavailable due to", re.IGNORECASE)
REFUSED: Final = frozenset({401, 403, 404, 410, 451})
ILL: Final = {500: "an error of its own", 502: "down", 503: "down or in maintenance", 504: "overloaded"}


def asks_to_wait(status: int, headers: Mapping[str, str], body: bytes = b"") -> bool:
    """Return True if a refusal is a rate limit. headers: names in lower case.

    GitHub's secondary limit is a 403 without a time, while the quota is not used up. Only its message distinguishes it from other
    refusals (docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
    """
    if status != 403:
        return status == 429
    used_up = any(headers.get(name) == "0" for name in ("x-ratelimit-remaining", "ratelimit-remaining"))
    return used_up or bool(NAMES_A_LIMIT.search(body[:READ_BYTES]))


def refusal(status: int, url: str, body: bytes = b"") -> RepositoryNotFound | None:
    """Return the error about the repository at `url`; None if the status is not about a repository."""
    if status == 410:
        return RepositoryGone(url=url)
    if status == 451 or (status == 403 and NAMES_A_BLOCK.search(body[:READ_BYTES])):
        return RepositoryBlocked(url=url)
    return RepositoryNotFound(url=url) if status in REFUSED else None


def ill(host: str, status: int) -> HostUnreachable:
    """Return the error for a host that sent neither a success nor a refusal."""
    means = f", which means: {ILL[status]}" if status in ILL else ""
    return HostUnreachable(host=host, why=f"it answers with status {status}{means}")
