"""The ports of a system that has only fakes around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bindery.domain.errors import UnknownProvider
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.ports.doi_directory import DoiDirectory, Home
from bindery.ports.queue import Queue
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.session_launcher import SessionLauncher
from bindery.ports.table import Table
from bindery.settings import Settings
from bindery.web.stream.change_notifier import ChangeNotifier


@dataclass(frozen=True)
class FakePorts:
    """The ports that `System` needs.

    host: the only provider. homes: the homes of records, by DOI. known_homes: the DOIs that need no request.
    """

    table: Table
    queue: Queue
    builds: BuildService
    launcher: SessionLauncher
    clock: Clock
    host: RepositoryProvider
    isolated: bool = True
    notifier: ChangeNotifier | None = None
    homes: dict[str, Home] = field(default_factory=dict)
    known_homes: set[str] = field(default_factory=set)

    @property
    def doi_directory(self) -> DoiDirectory:
        return self

    def home(self, spec: str, before_asking: Callable[[], object] = lambda: None) -> Home:
        if spec not in self.known_homes:
            before_asking()
        self.known_homes.add(spec)
        return self.homes[spec]

    def providers(self) -> Mapping[str, RepositoryProvider]:
        return {self.host.id: self.host}

    def provider(self, name: str) -> RepositoryProvider:
        if name != self.host.id:
            raise UnknownProvider(provider=name, known=self.host.id)
        return self.host


NO_SHARES = dict.fromkeys(
    (
        "page_rate_limit",
        "client_streams",
        "client_sessions",
        "client_builds",
        "client_line",
        "owner_builds",
        "owner_line",
    )
)
"""The limits per client and per owner, switched off: in most tests a single client sends all requests."""


def settings_of(**changes: object) -> Settings:
    """Return settings as an operator gives them, with shorter times than the product's own.

    Quotas and clients' shares are off unless a test sets them.
    """
    usual = {
        "secret": "a secret of the tests, 32 characters or more",
        "build_seconds": 600,
        "max_age_seconds": 3600,
        "quota_total": None,
        "quota_per_repository": None,
        **NO_SHARES,
    }
    return Settings.model_validate({**usual, **changes})
