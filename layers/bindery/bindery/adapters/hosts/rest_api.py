"""Client for a host's REST API, with the errors for its responses."""

import logging
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import BaseModel

from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import MB
from bindery.adapters.http.client import Answer, GuardedClient, read_json, refusal, unexpected_status
from bindery.adapters.http.rate_limits import is_rate_limit
from bindery.domain.errors import HostBusy, HostLimited, RepositoryEmpty
from bindery.ports.clock import Clock

logger = logging.getLogger("bindery")

REFUSED_SECONDS: Final = 600
"""Time for which a token that the host does not know is not sent again."""
GONE: Final = {404, 410, 451}

Token = Callable[[], str]
"""Function that returns the current token; empty: no token. It may request a token from the host."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class ApiAnswer:
    """Response of the API.

    body: None if the host has the repository but not the object. unchanged: true if the body has not changed since the ETag of the
    request.
    """

    body: bytes | None
    etag: str = ""
    unchanged: bool = False


class HostApi:
    """Client for an API with a token, which is sent to no other host.

    If the host refuses a request with the token, the request is repeated without it. If the host does not know the token (401), it is
    left out of all requests for REFUSED_SECONDS; this is logged once.

    may_have_token: true if responses may contain more than anonymous requests get.
    absent: returns True if an error response says that only the object is missing, not the whole repository.
    empty: returns True if an error response says that the repository has no commits.
    While the host's rate limit applies, only requests with an ETag are sent: the host does not count unchanged responses.
    Raises, besides the guard's errors: RepositoryNotFound and its kinds, RepositoryEmpty, HostLimited, HostBusy, HostUnreachable.
    """

    def __init__(
        self,
        client: GuardedClient,
        clock: Clock,
        url: str,
        token: str | Token,
        *,
        headers: Mapping[str, str],
        absent: Callable[[Answer], bool],
        empty: Callable[[Answer], bool] = lambda _: False,
    ) -> None:
        self._client = client
        self._clock = clock
        self.url = url.rstrip("/")
        self.host = parsed(url).host
        self._token: Token = (lambda: token) if isinstance(token, str) else token
        self.may_have_token = bool(token)
        self._refused_until = 0.0
        self._lock = threading.Lock()
        self._headers = headers
        self._absent = absent
        self._empty = empty

    def get(self, path: str, page: str, *, etag: str = "", max_bytes: int = 16 * MB) -> ApiAnswer:
        """Return the response for a path below the API's address. page: the repository's page, for errors."""
        answer = self._request(path, {**self._headers, **({"If-None-Match": etag} if etag else {})}, max_bytes)
        if answer.status == 304 and etag:
            return ApiAnswer(None, etag, unchanged=True)
        if answer.status == 200:
            return ApiAnswer(answer.body, answer.headers.get("etag", ""))
        self._raise_wait(answer)
        if self._empty(answer):
            raise RepositoryEmpty(url=page)
        if self._absent(answer):
            return ApiAnswer(None)
        if missing := refusal(answer.status, page, answer.body):
            missing.gone = answer.status in GONE
            raise missing
        raise unexpected_status(self.host, answer.status)

    def _raise_wait(self, answer: Answer) -> None:
        """Raise HostLimited or HostBusy for a response that asks the client to wait."""
        busy = answer.status == 503 and "retry-after" in answer.headers
        if busy or _counted(answer):
            kind, now, longest = HostBusy if busy else HostLimited, self._clock.now(), answer.longest_wait
            raise self._client.rate_limits.record(
                answer.url, answer.headers, now, answer.authorization, kind, longest=longest
            )

    def basic(self, user: str) -> str:
        """Return the Basic Authorization header for git's servers, with the token as password; empty without a token."""
        token = self._token()
        return f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}" if token else ""

    def read(self, kind: type[Model], body: bytes) -> Model:
        """Return the JSON body as a model of `kind`. Raises HostUnreachable."""
        return read_json(kind, body, self.host)

    def _request(self, path: str, headers: dict[str, str], max_bytes: int) -> Answer:
        if self._clock.now() >= self._refused_until and (token := self._token()):
            answer = self._send(path, headers, max_bytes, f"Bearer {token}")
            if answer.status != 401 and (answer.status != 403 or _counted(answer)):
                return answer  # else the token has no access; public data needs no token
            if answer.status == 401:
                self._pause_token()
        return self._send(path, headers, max_bytes)

    def _send(self, path: str, headers: dict[str, str], max_bytes: int, authorization: str = "") -> Answer:
        """Send one request, unless the host's rate limit applies to this credential. Raises HostLimited."""
        url = self.url + path
        self._client.rate_limits.check(url, self._clock.now(), authorization, free="If-None-Match" in headers)
        # The token is in this header only: on a redirect to another host, the client drops the header.
        credentials = {"Authorization": authorization} if authorization else {}
        return self._client.get(url, headers | credentials, max_bytes=max_bytes)

    def _pause_token(self) -> None:
        with self._lock:
            first = self._clock.now() >= self._refused_until
            if first:
                self._refused_until = self._clock.now() + REFUSED_SECONDS
        if first:
            logger.warning(
                "%s refuses its token; requests are sent without it for %d minutes", self.host, REFUSED_SECONDS // 60
            )


def _counted(answer: Answer) -> bool:
    """Return True if the host refuses because of a rate limit: only then an API sends `Retry-After` with a refusal."""
    if answer.status == 403 and "retry-after" in answer.headers:
        return True
    return is_rate_limit(answer.status, answer.headers, answer.body)
