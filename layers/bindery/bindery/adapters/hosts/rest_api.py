"""A host's REST API: what its answers mean, whatever is asked."""

import logging
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import BaseModel

from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import MB
from bindery.adapters.http.client import Answer, GuardedClient
from bindery.adapters.http.json_answers import read_json
from bindery.adapters.http.refusals import asks_to_wait, ill, refusal
from bindery.domain.errors import HostBusy, HostLimited, RepositoryEmpty
from bindery.ports.clock import Clock

logger = logging.getLogger("bindery")

REFUSED_SECONDS: Final = 600
"""So long a token that the host does not know is not shown to it again."""
GONE: Final = {404, 410, 451}

Token = Callable[[], str]
"""The token for now; empty: none. It may ask the host for one."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class ApiAnswer:
    """body: None if the host knows the repository and not the object. unchanged: since the ETag that was sent along."""

    body: bytes | None
    etag: str = ""
    unchanged: bool = False


class HostApi:
    """Asks an API with its token, which goes nowhere else; one that the host refuses is left out.

    One that the host does not know (401) is left out of all questions for REFUSED_SECONDS, which the log says once.

    may_have_token: whether more than strangers see may be answered.
    absent: whether an answer that is no success says that only the object is missing, and not the whole repository.
    empty: whether it says that the repository has no commits.
    While the host has us wait, it is not asked, but for what it does not count: whether something changed since an ETag.
    Errors besides the guard's: RepositoryNotFound and its kinds, RepositoryEmpty, HostLimited, HostBusy, HostUnreachable.
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
        """The answer for a path below the API's address. page: the repository's, for errors."""
        answer = self._asked(path, {**self._headers, **({"If-None-Match": etag} if etag else {})}, max_bytes)
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
        raise ill(self.host, answer.status)

    def _raise_wait(self, answer: Answer) -> None:
        """Raise HostLimited or HostBusy for an answer that asks to wait."""
        busy = answer.status == 503 and "retry-after" in answer.headers
        if busy or _counted(answer):
            kind, now, longest = HostBusy if busy else HostLimited, self._clock.now(), answer.longest_wait
            raise self._client.limits.told(answer.url, answer.headers, now, answer.authorization, kind, longest=longest)

    def basic(self, user: str) -> str:
        """The token as a password, in the header's value that git's servers take; empty: there is none."""
        token = self._token()
        return f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}" if token else ""

    def read(self, kind: type[Model], body: bytes) -> Model:
        """The body as JSON of that shape, else HostUnreachable."""
        return read_json(kind, body, self.host)

    def _asked(self, path: str, headers: dict[str, str], max_bytes: int) -> Answer:
        if self._clock.now() >= self._refused_until and (token := self._token()):
            answer = self._ask(path, headers, max_bytes, f"Bearer {token}")
            if answer.status != 401 and (answer.status != 403 or _counted(answer)):
                return answer  # else the token is not good for this, and what is everybody's needs none
            if answer.status == 401:
                self._refused()
        return self._ask(path, headers, max_bytes)

    def _ask(self, path: str, headers: dict[str, str], max_bytes: int, authorization: str = "") -> Answer:
        """One request, unless the host has this credential wait. Raises HostLimited."""
        url = self.url + path
        self._client.limits.check(url, self._clock.now(), authorization, free="If-None-Match" in headers)
        # In this header alone: a client that is sent on to another host leaves it out.
        shown = {"Authorization": authorization} if authorization else {}
        return self._client.get(url, headers | shown, max_bytes=max_bytes)

    def _refused(self) -> None:
        with self._lock:
            first = self._clock.now() >= self._refused_until
            if first:
                self._refused_until = self._clock.now() + REFUSED_SECONDS
        if first:
            logger.warning(
                "%s refuses its token, and is asked without one for %d minutes", self.host, REFUSED_SECONDS // 60
            )


def _counted(answer: Answer) -> bool:
    """Whether the host refuses because of a limit: an API sends `Retry-After` with a refusal only then."""
    if answer.status == 403 and "retry-after" in answer.headers:
        return True
    return asks_to_wait(answer.status, answer.headers, answer.body)
