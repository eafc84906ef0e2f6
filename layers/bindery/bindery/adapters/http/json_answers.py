"""JSON from hosts, bounded in the number of its values before any of them is made."""

from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from bindery.domain.errors import HostUnreachable

FEW_VALUES: Final = 50_000
"""For hosts that anybody may name: at most 100 MB of memory, whatever the values are."""
MANY_VALUES: Final = 800_000
"""The longest listing of files that GitHub sends: 100,000 entries of six values each, and the entries themselves."""

Model = TypeVar("Model", bound=BaseModel)


def read_json(kind: type[Model], body: bytes, host: str, most: int = MANY_VALUES) -> Model:
    """Return the body as JSON of that shape. Raises HostUnreachable about `host`.

    A list of empty objects takes 300 bytes of memory for each byte of text, so the size of the body alone bounds nothing.
    Depth and the length of numbers are bounded by pydantic's parser.
    """
    if sum(body.count(mark) for mark in (b",", b"{", b"[")) > most:
        raise HostUnreachable(host=host, why="its answer holds more than can be read")
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        raise HostUnreachable(host=host, why="its answer cannot be read") from None
