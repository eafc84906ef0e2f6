"""GitHub's REST API: what its answers mean, whatever is asked."""

from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from bindery.adapters.repositories.addresses import parsed
from bindery.adapters.repositories.exchange import MB
from bindery.adapters.repositories.guard import Answer, GuardedClient
from bindery.adapters.repositories.limits import host_limited
from bindery.domain.errors import HostUnreachable, RepositoryNotFound
from bindery.ports.clock import Clock

HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
NOT_THERE: Final = {404, 410, 451}
NO_SUCH_OBJECT: Final = {409, 422}
"""422: no such commit or object. 409: a repository without any."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class GitHubAnswer:
    """body: None if the host knows the repository and not the object. unchanged: since the ETag that was sent along."""

    body: bytes | None
    etag: str = ""
    unchanged: bool = False


class GitHubApi:
    """Asks the API with its token, which goes nowhere else; one that the host refuses is left out.

    Errors besides the guard's: RepositoryNotFound, HostLimited, HostUnreachable.
    """

    def __init__(self, client: GuardedClient, clock: Clock, url: str, token: str) -> None:
        self._client = client
        self._clock = clock
        self._url = url.rstrip("/")
        self._host = parsed(url).host
        self._token = token

    def get(self, path: str, page: str, *, etag: str = "", max_bytes: int = 16 * MB) -> GitHubAnswer:
        """The answer for a path below the API's address. page: the repository's, for errors."""
        headers = HEADERS | ({"If-None-Match": etag} if etag else {})
        answer = self._asked(path, headers, max_bytes)
        if answer.status == 304 and etag:
            return GitHubAnswer(None, etag, unchanged=True)
        if answer.status in NO_SUCH_OBJECT:
            return GitHubAnswer(None)
        if answer.status == 429 or (answer.status == 403 and _counted(answer)):
            raise host_limited(self._host, answer.headers, self._clock.now())
        if answer.status in NOT_THERE or answer.status in {401, 403}:
            raise RepositoryNotFound(url=page)
        if answer.status != 200:
            raise HostUnreachable(host=self._host, why=f"it answers with status {answer.status}")
        return GitHubAnswer(answer.body, answer.headers.get("etag", ""))

    def read(self, kind: type[Model], body: bytes) -> Model:
        """The body as JSON of that shape, else HostUnreachable."""
        try:
            return kind.model_validate_json(body)
        except ValidationError:
            raise HostUnreachable(host=self._host, why="its answer cannot be read") from None

    def _asked(self, path: str, headers: dict[str, str], max_bytes: int) -> Answer:
        url = self._url + path
        if self._token:
            answer = self._client.get(url, headers | {"Authorization": f"Bearer {self._token}"}, max_bytes=max_bytes)
            if answer.status != 401:
                return answer
        return self._client.get(url, headers, max_bytes=max_bytes)


def _counted(answer: Answer) -> bool:
    return answer.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in answer.headers
