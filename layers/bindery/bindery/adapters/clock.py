"""This machine's time and randomness."""

import secrets
import time


class SystemClock:
    """The clock port."""

    def now(self) -> float:
        return time.time()

    def random_id(self, size: int = 16) -> str:
        return secrets.token_hex(size)

    def pick(self, n: int) -> int:
        return secrets.randbelow(n)
