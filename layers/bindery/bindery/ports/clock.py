"""The clock port: time, randomness and ids, so that a simulation can own them."""

from typing import Protocol


class Clock(Protocol):
    """now: UTC seconds. random_id: fresh, unguessable, `size` bytes as lower-case hex. pick: evenly one of 0 to n-1."""

    def now(self) -> float: ...
    def random_id(self, size: int = 16) -> str: ...
    def pick(self, n: int) -> int: ...
