"""What all providers of published records have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from bindery.adapters.hosts.page_urls import by_pattern
from bindery.adapters.hosts.records.answer_cache import NEWEST_SECONDS, VERSION_SECONDS, Answer, KeptAnswers
from bindery.adapters.http.budget import Errand
from bindery.domain.errors import RefNotFound
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider, Resolved
from bindery.ports.table import Table

RECORD_HOSTS = ("zenodo", "figshare", "dataverse", "hydroshare", "ckan")
"""Providers whose content comes by files."""


@dataclass(frozen=True)
class RecordFile:
    """path: as the host has it, `/` between folders, not checked. size: bytes, None if the host does not say.

    checksum: algorithm and hex digits, such as `md5:...`; empty if the host has none.
    """

    path: str
    url: str
    size: int | None = None
    checksum: str = ""


@dataclass(frozen=True)
class Listing:
    """A record's files. notes: sentences for the visitor, such as that one is missing here."""

    files: Sequence[RecordFile]
    notes: tuple[str, ...] = ()


class RecordHost(ABC):
    """A host of published records. A record is its own environment key, so nothing of it is read before a build.

    site: its API's address, empty if it has many.
    """

    id: str
    display: Display

    def __init__(self, table: Table, clock: Clock, site: str = "") -> None:
        self._kept = KeptAnswers(table, clock, f"{self.id}#{site}", Repository)

    @abstractmethod
    def check(self, spec: str) -> str: ...
    @abstractmethod
    def canonical(self, spec: str) -> str: ...

    def resolve(self, spec: str) -> Resolved:
        canonical = self.canonical(spec)
        found = self._kept.of(canonical, lambda: self._answered(spec, canonical))
        return Resolved(found.model_copy(update={"spec": spec, "on_branch_or_tag": True}))

    def on_branch_or_tag(self, repository: Repository) -> bool:  # noqa: ARG002 # the port's shape
        """Return True: only its owner publishes a version of a record."""
        return True

    def _answered(self, spec: str, canonical: str) -> Answer[Repository]:
        found = self.found(spec)
        return Answer(found, self.lasts(canonical, found))

    @abstractmethod
    def found(self, spec: str) -> Repository:
        """What the host itself says that the spec leads to. Raises what resolve does."""

    def lasts(self, canonical: str, found: Repository) -> float:
        """For how many seconds a spec, in its one spelling, leads there."""
        return VERSION_SECONDS if self.canonical(found.resolved_spec) == canonical else NEWEST_SECONDS

    def detect(self, address: str) -> PastedUrl | None:
        return by_pattern(self, address)

    @abstractmethod
    def files(self, repository: Repository, within: Errand | None = None) -> Listing:
        """What the resolved record holds. within: the errand that needs it: its time, and whether it goes on.

        Raises RecordNotFound, RecordRestricted, RecordWithdrawn, RepositoryUnusable, RepositoryTooLarge, HostLimited,
        HostUnreachable, ForbiddenAddress.
        """

    @abstractmethod
    def spec_of(self, doi: str, address: str) -> str | None:
        """The spec of the record that the DOI is, told by the address that it leads to; None: it is on no page of this host's.

        Asks nobody. address: checked.
        """

    def tree(self, repository: Repository) -> Tree | None:  # noqa: ARG002 # the port's shape
        return None

    def read(self, repository: Repository, entry: Entry) -> bytes:
        raise RefNotFound(spec=repository.spec, ref=entry.path)

    def tags(self, repository: Repository) -> str:  # noqa: ARG002 # the port's shape
        return ""


def record_host(provider: RepositoryProvider) -> RecordHost:
    """A provider as the host of records that it is. TypeError."""
    if isinstance(provider, RecordHost):
        return provider
    raise TypeError(f"{provider.id} is no host of records")
