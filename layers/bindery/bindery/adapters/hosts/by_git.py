"""Base class of hosts with an API that resolves refs. Files are read with git."""

from functools import cached_property

from bindery.adapters.http.client import GuardedClient
from bindery.domain.repository import Entry, Repository, Tree
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider


class FilesByGit:
    """Reader of a commit's files, with git."""

    def __init__(self, client: GuardedClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    @cached_property
    def _git(self) -> RepositoryProvider:
        """Return the git provider. It is imported on first use: most requests of visitors need no files."""
        from bindery.adapters.hosts.git import GitProvider

        return GitProvider(self._client, self._clock)

    def tree(self, repository: Repository) -> Tree | None:
        return self._git.tree(repository)

    def read(self, repository: Repository, entry: Entry) -> bytes:
        return self._git.read(repository, entry)

    def tags(self, repository: Repository) -> str:
        return self._git.tags(repository)
