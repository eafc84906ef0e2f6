"""How often each client may launch without a page's token: a window per client address."""

import hashlib
from dataclasses import dataclass

from bindery.domain.asking import Rate
from bindery.domain.errors import RateLimited, Stale
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table


@dataclass(frozen=True)
class Rates:
    """limit: launches per window and client. seconds: the window's length. Addresses are stored hashed."""

    table: Table
    clock: Clock
    limit: int
    seconds: int

    def count(self, client: str) -> Rate:
        """Counts one launch of this client. Raises RateLimited."""
        pk = "rate#" + hashlib.sha256(client.encode()).hexdigest()[:32]
        while True:
            now = self.clock.now()
            item = self.table.get(pk, "window") or Item(pk, "window")
            reset, used = float(item.data.get("reset", 0)), int(item.data.get("used", 0))
            if reset <= now:
                reset, used = now + self.seconds, 0
            if used >= self.limit:
                raise RateLimited(limit=self.limit, seconds=int(reset - now) + 1)
            data = {"reset": reset, "used": used + 1}
            try:
                self.table.put(Item(pk, "window", data, item.version, expires_at=reset))
            except Stale:
                continue
            return Rate(self.limit, self.limit - used - 1, int(reset))
