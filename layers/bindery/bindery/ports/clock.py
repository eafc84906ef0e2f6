"""The clock port: time, random numbers and ids. A simulation can replace all three."""

from typing import Protocol


class Clock(Protocol):
    """Source of time and randomness.

    now: UTC seconds. random_id: a new, unguessable id, `size` bytes as lower-case hex. pick: a number from 0 to n-1, uniformly distributed.
    """

    def now(self) -> float: ...
    def random_id(self, size: int = 16) -> str: ...
    def pick(self, n: int) -> int: ...
