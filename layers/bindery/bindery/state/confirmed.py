"""Repositories that the user of this machine has agreed to run, each at one ref."""

import hashlib
from dataclasses import dataclass

from bindery.domain.errors import Stale
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

KEPT_SECONDS = 180 * 86400


@dataclass(frozen=True)
class Confirmed:
    """Store of confirmed repositories.

    name: provider and canonical spec (`gh/o/r/HEAD`). Another ref of the same repository is another name, because hosts serve the commits
    of forks under the address of the original repository.
    """

    table: Table
    clock: Clock

    def remember(self, name: str) -> None:
        """Store the confirmation for half a year from now. Idempotent."""
        stored = self.table.get(_pk(name), "confirmed") or Item(_pk(name), "confirmed")
        try:
            self.table.put(
                Item(stored.pk, stored.sk, {"name": name}, stored.version, expires_at=self.clock.now() + KEPT_SECONDS)
            )
        except Stale:  # another launch of the same repository remembers it
            return

    def has(self, name: str) -> bool:
        """Return True if the name was confirmed and the confirmation has not expired."""
        stored = self.table.get(_pk(name), "confirmed")
        return stored is not None and (stored.expires_at or 0) > self.clock.now()


def _pk(name: str) -> str:
    return "confirmed#" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
