"""How long an errand to a host may still take."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bindery.domain.errors import HostUnreachable


@dataclass
class Errand:
    """One working copy being made. host: whom to name. deadline: on the monotonic clock, `seconds` after it began."""

    host: str
    seconds: float
    stopped: Callable[[], bool]
    deadline: float

    def left(self) -> float:
        """Seconds; HostUnreachable if there are none, or it was stopped."""
        if self.stopped():
            raise HostUnreachable(host=self.host, why="it was stopped")
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise HostUnreachable(host=self.host, why=f"not everything was there within {self.seconds:.3g} seconds")
        return left

    def check(self) -> None:
        """Raises as `left` does."""
        self.left()
