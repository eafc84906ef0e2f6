"""Contents port for every provider: git repositories by git, records by their files."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.hosts.private_repositories import HostWithPrivate
from bindery.adapters.hosts.records.base import RECORD_HOSTS, record_host
from bindery.adapters.http.client import GuardedClient
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.contents import Checkout, Contents, never_stopped
from bindery.ports.repository_provider import RepositoryProvider
from bindery_builder.contents.git import GitContents


class AnyContents:
    """Contents by the repository's provider.

    folder: where git's packs are kept. provider: returns a provider by its id. refused: addresses of APIs.
    """

    def __init__(
        self,
        folder: Path,
        client: GuardedClient,
        clock: Clock,
        provider: Callable[[str], RepositoryProvider],
        refused: RefusedApis | None = None,
    ) -> None:
        self._git = GitContents(folder, client, clock, authorization=self._authorization, refused=refused)
        self._client = client
        self._clock = clock
        self._provider = provider

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = never_stopped,
        *,
        exact: bool = False,
    ) -> Checkout:
        chosen = self._records if repository.provider in RECORD_HOSTS else self._git
        return chosen.checkout(repository, folder, seconds, stopped, exact=exact)

    def recover(self) -> None:
        """Remove the transfers that a crash left unfinished. Called at the start, before the first fetch."""
        self._git.recover()

    def _authorization(self, repository: Repository) -> str:
        provider = self._provider(repository.provider) if repository.private else None
        return provider.authorization() if isinstance(provider, HostWithPrivate) else ""

    @cached_property
    def _records(self) -> Contents:
        """Return the contents port for records. Imported on first use, since it loads the archive formats."""
        from bindery_builder.contents.records import RecordContents

        return RecordContents(lambda name: record_host(self._provider(name)), self._client, self._clock)
