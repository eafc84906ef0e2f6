"""Hosts whose API answers what a ref is, and whose files are asked of git."""

from functools import cached_property

from bindery.adapters.http.client import GuardedClient
from bindery.domain.repository import Entry, Repository, Tree
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider


class FilesByGit:
    """What a commit holds."""

    def __init__(self, client: GuardedClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    @cached_property
    def _git(self) -> RepositoryProvider:
        """Loaded by those who need a commit's files, and not by every visitor's first request."""
        from bindery.adapters.hosts.git import GitProvider

        return GitProvider(self._client, self._clock)

    def tree(self, repository: Repository) -> Tree | None:
        return self._git.tree(repository)

    def read(self, repository: Repository, entry: Entry) -> bytes:
        return self._git.read(repository, entry)

    def tags(self, repository: Repository) -> str:
        return self._git.tags(repository)
