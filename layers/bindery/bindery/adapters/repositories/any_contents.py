"""The contents port for every provider: git by git, records by their files."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from bindery.adapters.repositories.contents import GitContents
from bindery.domain.repository import Repository
from bindery.ports.contents import Contents, LaidOut, never


@dataclass(frozen=True)
class AnyContents:
    """Picks by the repository's provider. records: made when the first record is laid out. record_hosts: their providers."""

    git: GitContents
    records: Callable[[], Contents]
    record_hosts: Collection[str]

    def lay_out(
        self, repository: Repository, folder: Path, seconds: float | None = None, stopped: Callable[[], bool] = never
    ) -> LaidOut:
        chosen: Contents = self.records() if repository.provider in self.record_hosts else self.git
        return chosen.lay_out(repository, folder, seconds, stopped)

    def recover(self) -> None:
        """At the start, before anything is fetched: removes what a crash left of transfers."""
        self.git.recover()
