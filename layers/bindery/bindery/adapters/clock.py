"""Time and randomness of this machine."""

import secrets
import time


class SystemClock:
    """Clock port over the system's time and `secrets`."""

    def now(self) -> float:
        return time.time()

    def random_id(self, size: int = 16) -> str:
        return secrets.token_hex(size)

    def pick(self, n: int) -> int:
        return secrets.randbelow(n)
