"""Base class of all providers of published records."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from bindery.adapters.hosts.page_urls import by_pattern
from bindery.adapters.hosts.records.answer_cache import NEWEST_SECONDS, VERSION_SECONDS, Answer, KeptAnswers
from bindery.adapters.http.budget import TimeLimit
from bindery.domain.errors import RefNotFound
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider, Resolved
from bindery.ports.table import Table

RECORD_HOSTS = ("zenodo", "figshare", "dataverse", "hydroshare", "ckan")
"""Ids of the providers with content that is downloaded file by file."""


@dataclass(frozen=True)
class RecordFile:
    """File of a record.

    path: as the host returns it, `/` between folders, not checked. size: bytes, None if the host does not return it.
    checksum: algorithm and hex digits, such as `md5:...`; empty if the host has no checksum.
    """

    path: str
    url: str
    size: int | None = None
    checksum: str = ""


@dataclass(frozen=True)
class Listing:
    """Files of a record. notes: sentences for the visitor, such as that a file is missing."""

    files: Sequence[RecordFile]
    notes: tuple[str, ...] = ()


class RecordHost(ABC):
    """Host of published records. A record is its own environment key, so its files are not read before a build.

    site: address of its API; empty if the provider has many APIs.
    """

    id: str
    display: Display

    def __init__(self, table: Table, clock: Clock, site: str = "") -> None:
        self._cache = KeptAnswers(table, clock, f"{self.id}#{site}", Repository)

    @abstractmethod
    def check(self, spec: str) -> str: ...
    @abstractmethod
    def canonical(self, spec: str) -> str: ...

    def resolve(self, spec: str) -> Resolved:
        canonical = self.canonical(spec)
        repository = self._cache.of(canonical, lambda: self._ask(spec, canonical))
        return Resolved(repository.model_copy(update={"spec": spec, "on_branch_or_tag": True}))

    def on_branch_or_tag(self, repository: Repository) -> bool:  # noqa: ARG002 # the port's signature
        """Return True: only its owner publishes a version of a record."""
        return True

    def _ask(self, spec: str, canonical: str) -> Answer[Repository]:
        repository = self.found(spec)
        return Answer(repository, self.lasts(canonical, repository))

    @abstractmethod
    def found(self, spec: str) -> Repository:
        """Return the repository that the host has for the spec. Raises the errors of `resolve`."""

    def lasts(self, canonical: str, repository: Repository) -> float:
        """Return the number of seconds for which the repository of a canonical spec may be cached."""
        return VERSION_SECONDS if self.canonical(repository.resolved_spec) == canonical else NEWEST_SECONDS

    def detect(self, address: str) -> PastedUrl | None:
        return by_pattern(self, address)

    @abstractmethod
    def files(self, repository: Repository, within: TimeLimit | None = None) -> Listing:
        """Return the files of the resolved record.

        within: the time limit of the work that needs them, with its deadline and its check for cancellation.

        Raises RecordNotFound, RecordRestricted, RecordWithdrawn, RepositoryUnusable, RepositoryTooLarge, HostLimited, HostUnreachable,
        ForbiddenAddress.
        """

    @abstractmethod
    def spec_of(self, doi: str, address: str) -> str | None:
        """Return the spec of the record with this DOI, or None if the DOI leads to no page of this host.

        address: the checked address that the DOI leads to. Sends no requests.
        """

    def tree(self, repository: Repository) -> Tree | None:  # noqa: ARG002 # the port's signature
        return None

    def read(self, repository: Repository, entry: Entry) -> bytes:
        raise RefNotFound(spec=repository.spec, ref=entry.path)

    def tags(self, repository: Repository) -> str:  # noqa: ARG002 # the port's signature
        return ""


def record_host(provider: RepositoryProvider) -> RecordHost:
    """Return the provider as a RecordHost. Raises TypeError if it is no host of records."""
    if isinstance(provider, RecordHost):
        return provider
    raise TypeError(f"{provider.id} is no host of records")
