"""What the verbs are put together from: the ports, and every kind of record on the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bindery.domain.rules import Rules, SpecRule
from bindery.settings import Settings
from bindery.state.build_logs import BuildLogs
from bindery.state.build_slots import BuildSlots
from bindery.state.commits import Commits
from bindery.state.counters import Counters
from bindery.state.environments import Environments
from bindery.state.launches import Launches
from bindery.state.quotas import Quotas
from bindery.state.rates import Rates
from bindery.state.sessions import Sessions

if TYPE_CHECKING:
    from bindery.ports.build_service import BuildService
    from bindery.ports.clock import Clock
    from bindery.ports.doi_directory import DoiDirectory
    from bindery.ports.queue import Queue
    from bindery.ports.repository_provider import RepositoryProvider
    from bindery.ports.session_launcher import SessionLauncher
    from bindery.ports.table import Table
    from bindery.web.word import Word


class Ports(Protocol):
    """Everything that the verbs need of the world; each may be made only when it is asked for.

    provider: raises UnknownProvider. isolated: whether a session cannot touch the machine that this runs on.
    word: of what is written to the table; None where other processes write it.
    """

    @property
    def table(self) -> Table: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def builds(self) -> BuildService: ...
    @property
    def launcher(self) -> SessionLauncher: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def doi_directory(self) -> DoiDirectory: ...
    @property
    def isolated(self) -> bool: ...
    @property
    def word(self) -> Word | None: ...
    def providers(self) -> Mapping[str, RepositoryProvider]: ...
    def provider(self, name: str) -> RepositoryProvider: ...


@dataclass(frozen=True)
class State:
    """Every kind of record, on one table."""

    launches: Launches
    environments: Environments
    quotas: Quotas
    sessions: Sessions
    logs: BuildLogs
    slots: BuildSlots
    counters: Counters
    commits: Commits
    rates: Rates

    @classmethod
    def on(cls, table: Table, clock: Clock, settings: Settings) -> State:
        place = (table, clock)
        quotas = Quotas(*place)
        return cls(
            Launches(*place),
            Environments(*place),
            quotas,
            Sessions(*place, quotas),
            BuildLogs(*place),
            BuildSlots(*place, settings.build_slots),
            Counters(*place),
            Commits(*place),
            Rates(*place, settings.rate_limit, settings.rate_seconds),
        )


def rules_of(settings: Settings) -> Rules:
    """What the operator allows."""
    return Rules(
        total=settings.quota_total,
        per_repository=settings.quota_per_repository,
        favoured_quota=settings.quota_favoured,
        favoured=settings.favoured_specs,
        spec_rules=tuple(SpecRule(rule.pattern, rule.config.quota) for rule in settings.spec_rules),
        banned_specs=settings.banned_specs,
        allowed_specs=settings.allowed_specs,
        banned_networks=settings.ban_networks,
    )
