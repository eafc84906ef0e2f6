"""Client for the APIs of record hosts, with the errors for their responses."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from pydantic import BaseModel

from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import MB, TimeLimit
from bindery.adapters.http.client import FEW_VALUES, MANY_VALUES, GuardedClient, read_json, unexpected_status
from bindery.domain.errors import (
    RecordNotFound,
    RecordRestricted,
    RecordWithdrawn,
    RepositoryBlocked,
    RepositoryNotFound,
)
from bindery.ports.clock import Clock
from bindery.ports.contents import never_stopped

REFUSED: Final[Mapping[int, type[RepositoryNotFound]]] = MappingProxyType(
    {
        400: RecordNotFound,  # one host's response to an unknown id
        401: RecordRestricted,
        403: RecordRestricted,
        404: RecordNotFound,
        410: RecordWithdrawn,
        451: RepositoryBlocked,
    }
)
LONGEST_SECONDS = 15.0
LARGEST_FACTS, LARGEST_LISTING = 2 * MB, 32 * MB
"""Maximum bytes of a response about a record, which each launch requests, and of a file listing, which a build requests."""
HEADERS: Final = {"Accept": "application/json"}

Model = TypeVar("Model", bound=BaseModel)


def time_of(within: TimeLimit | None) -> float:
    """Return the maximum seconds for one request. Raises the errors of `TimeLimit.left`.

    within: the time limit of the work that the request is part of.
    """
    return min(LONGEST_SECONDS, within.remaining_seconds()) if within else LONGEST_SECONDS


class RecordApi:
    """Client for record APIs.

    Raises, besides the guard's errors: RecordNotFound, RecordRestricted, RecordWithdrawn, HostLimited, HostUnreachable.
    Sends no request while a host's rate limit applies, regardless of which client met the limit.
    """

    def __init__(self, client: GuardedClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def get(self, kind: type[Model], url: str, page: str, within: TimeLimit | None = None) -> Model:
        """Return the JSON response as a model of `kind`.

        page: the record's page, for errors. within: the time limit of the work that the request is part of.
        """
        seconds = time_of(within)
        stopped = within.stopped if within else never_stopped
        most = LARGEST_LISTING if within else LARGEST_FACTS
        host = parsed(url).host
        self._client.rate_limits.check(url, self._clock.now())
        answer = self._client.get(url, HEADERS, seconds=seconds, max_bytes=most, stopped=stopped)
        now, longest = self._clock.now(), answer.longest_wait
        self._client.rate_limits.record_response(
            answer.url, answer.status, answer.headers, now, body=answer.body, longest=longest
        )
        if refusal := REFUSED.get(answer.status):
            raise refusal(url=page)
        if answer.status != 200:
            raise unexpected_status(host, answer.status)
        return read_json(kind, answer.body, host, MANY_VALUES if within else FEW_VALUES)
