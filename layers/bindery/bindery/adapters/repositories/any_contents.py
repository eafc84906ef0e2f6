"""The contents port for every provider: git by git, records by their files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bindery.adapters.repositories.contents import GitContents
from bindery.adapters.repositories.record_contents import RecordContents
from bindery.domain.repository import Repository
from bindery.ports.contents import Contents, LaidOut, never


@dataclass(frozen=True)
class AnyContents:
    """Picks by the repository's provider."""

    git: GitContents
    records: RecordContents

    def lay_out(
        self, repository: Repository, folder: Path, seconds: float | None = None, stopped: Callable[[], bool] = never
    ) -> LaidOut:
        chosen: Contents = self.records if self.records.has(repository.provider) else self.git
        return chosen.lay_out(repository, folder, seconds, stopped)

    def recover(self) -> None:
        """At the start, before anything is fetched: removes what a crash left of transfers."""
        self.git.recover()
