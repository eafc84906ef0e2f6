"""Base class of git hosts with an API that resolves refs."""

from functools import cached_property

from bindery.adapters.hosts.ref_cache import KeptRefs
from bindery.adapters.hosts.rest_api import HostApi
from bindery.adapters.http.address_rules import without_git
from bindery.adapters.http.client import GuardedClient
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import Place
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table


class ApiHost:
    """Git host with an API. Files and tags are read with git, unless the host's class overrides these methods.

    table: stores the last response for each ref. api: client for the API. url: address of the pages.
    """

    id: str

    def __init__(self, client: GuardedClient, table: Table, clock: Clock, *, api: HostApi, url: str) -> None:
        self._client = client
        self._clock = clock
        self._api = api
        self._refs = KeptRefs(table, clock, f"{self.id}#{api.url}")
        self._url = url.rstrip("/")
        self._place = Place.of(self._url)

    def _steps(self, address: str) -> tuple[str, ...] | None:
        """Return the path segments of a page's address, or None for an address of another host."""
        place = Place.of(address)
        return place.below(self._place) if place else None

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


def folded(name: str) -> str:
    """Return the canonical spelling of a repository's name, for a host that ignores the case of names."""
    return without_git(name).lower()
