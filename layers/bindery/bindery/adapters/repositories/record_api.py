"""APIs of hosts of published records: what their answers mean, whatever is asked."""

from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from bindery.adapters.repositories.addresses import parsed
from bindery.adapters.repositories.errand import Errand
from bindery.adapters.repositories.exchange import MB
from bindery.adapters.repositories.guard import GuardedClient
from bindery.domain.errors import HostUnreachable, RepositoryNotFound
from bindery.ports.clock import Clock
from bindery.ports.contents import never

NOT_THERE: Final = {400, 401, 403, 404, 410, 451}
"""400: what one host says of an id that is none of its own."""
LONGEST_SECONDS, LARGEST = 15.0, 32 * MB
HEADERS: Final = {"Accept": "application/json"}

Model = TypeVar("Model", bound=BaseModel)


class RecordApi:
    """Errors besides the guard's: RepositoryNotFound, HostLimited, HostUnreachable."""

    def __init__(self, client: GuardedClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def get(self, kind: type[Model], url: str, page: str, within: Errand | None = None) -> Model:
        """The answer as JSON of that shape. page: the record's, for errors. within: the errand that this is a part of."""
        seconds = min(LONGEST_SECONDS, within.left()) if within else LONGEST_SECONDS
        stopped = within.stopped if within else never
        host = parsed(url).host
        self._client.limits.check(host, self._clock.now())
        answer = self._client.get(url, HEADERS, seconds=seconds, max_bytes=LARGEST, stopped=stopped)
        if answer.status == 429:
            raise self._client.limits.told(host, answer.headers, self._clock.now())
        if answer.status in NOT_THERE:
            raise RepositoryNotFound(url=page)
        if answer.status != 200:
            raise HostUnreachable(host=host, why=f"it answers with status {answer.status}")
        try:
            return kind.model_validate_json(answer.body)
        except ValidationError:
            raise HostUnreachable(host=host, why="its answer cannot be read") from None
