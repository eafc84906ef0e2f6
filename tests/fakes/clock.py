"""A clock that moves only when a test moves it. Equal seeds give equal ids and picks."""

import random

START = 1_700_000_000.0


class FakeClock:
    """The clock port. time: the answer of now(). Set it, or call advance()."""

    def __init__(self, seed: int = 0, time: float = START) -> None:
        self.time = time
        self._random = random.Random(seed)

    def advance(self, seconds: float) -> None:
        self.time += seconds

    def now(self) -> float:
        return self.time

    def random_id(self, size: int = 16) -> str:
        return self._random.randbytes(size).hex()

    def pick(self, n: int) -> int:
        return self._random.randrange(n)
