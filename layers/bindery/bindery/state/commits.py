"""Which environment a commit has: worked out once, then read."""

import hashlib
from dataclasses import dataclass

from bindery.domain.environment import Identity, Scope
from bindery.domain.errors import Stale
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

KEPT_SECONDS = 90 * 86400


@dataclass(frozen=True)
class Commits:
    """Environment identities by repository, ref and builder."""

    table: Table
    clock: Clock

    def identity(self, repository: Repository, builder: str) -> Identity | None:
        """The identity kept for this ref and this builder."""
        item = self.table.get(_pk(repository), _sk(builder))
        return Identity(item.data["key"], Scope(item.data["scope"]), item.data["inputs"]) if item else None

    def keep(self, repository: Repository, builder: str, identity: Identity) -> None:
        """Keeps it; it never changes, so who comes second is right too."""
        data = {"key": identity.key, "scope": identity.scope.value, "inputs": identity.inputs}
        until = self.clock.now() + KEPT_SECONDS
        try:
            self.table.put(Item(_pk(repository), _sk(builder), data, expires_at=until))
        except Stale:
            return


def _pk(repository: Repository) -> str:
    return f"commit#{hashlib.sha256(repository.clone_url.encode()).hexdigest()[:32]}#{repository.ref}"


def _sk(builder: str) -> str:
    return f"identity#{builder}"
