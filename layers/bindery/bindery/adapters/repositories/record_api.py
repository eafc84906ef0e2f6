"""APIs of hosts of published records: what their answers mean, whatever is asked."""

from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from bindery.adapters.repositories.addresses import parsed
from bindery.adapters.repositories.exchange import MB
from bindery.adapters.repositories.guard import GuardedClient
from bindery.adapters.repositories.limits import host_limited
from bindery.domain.errors import HostUnreachable, RepositoryNotFound
from bindery.ports.clock import Clock

NOT_THERE: Final = {400, 401, 403, 404, 410, 451}
"""400: what one host says of an id that is none of its own."""
HEADERS: Final = {"Accept": "application/json"}

Model = TypeVar("Model", bound=BaseModel)


class RecordApi:
    """Errors besides the guard's: RepositoryNotFound, HostLimited, HostUnreachable."""

    def __init__(self, client: GuardedClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def get(self, kind: type[Model], url: str, page: str, *, max_bytes: int = 32 * MB) -> Model:
        """The answer as JSON of that shape. page: the record's, for errors."""
        answer = self._client.get(url, HEADERS, max_bytes=max_bytes)
        host = parsed(url).host
        if answer.status == 429:
            raise host_limited(host, answer.headers, self._clock.now())
        if answer.status in NOT_THERE:
            raise RepositoryNotFound(url=page)
        if answer.status != 200:
            raise HostUnreachable(host=host, why=f"it answers with status {answer.status}")
        try:
            return kind.model_validate_json(answer.body)
        except ValidationError:
            raise HostUnreachable(host=host, why="its answer cannot be read") from None
