"""JSON from hosts. The number of values is bounded before parsing."""

from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from bindery.domain.errors import HostUnreachable

FEW_VALUES: Final = 50_000
"""Limit for hosts that visitors choose: at most 100 MB of memory for any values."""
MANY_VALUES: Final = 800_000
"""Size of the longest file listing that GitHub sends: 100,000 entries of six values each, and the entries themselves."""

Model = TypeVar("Model", bound=BaseModel)


def read_json(kind: type[Model], body: bytes, host: str, most: int = MANY_VALUES) -> Model:
    """Return the JSON body as an instance of `kind`. Raises HostUnreachable about `host`.

    A list of empty objects takes 300 bytes of memory for each byte of text, so a limit on the body's size is not enough.
    pydantic's parser bounds the depth and the length of numbers.
    """
    if sum(body.count(mark) for mark in (b",", b"{", b"[")) > most:
        raise HostUnreachable(host=host, why="its answer holds more than can be read")
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        raise HostUnreachable(host=host, why="its answer cannot be read") from None
