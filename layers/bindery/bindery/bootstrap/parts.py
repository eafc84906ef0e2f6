"""What the verbs are put together from: the ports, and every kind of record on the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bindery.domain.clients import Clients
from bindery.domain.environment import OLDEST_IMAGE_DAYS
from bindery.domain.rules import Rules, SpecRule
from bindery.settings import Settings
from bindery.state.build_claims import BuildClaims
from bindery.state.build_logs import BuildLogs
from bindery.state.build_slots import BuildSlots
from bindery.state.client_shares import ClientLimits, ClientShares
from bindery.state.commits import Commits
from bindery.state.counters import Counters
from bindery.state.environments import Environments
from bindery.state.fair_order import FairOrder
from bindery.state.launches import Launches
from bindery.state.quotas import Quotas
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


DEADLINE_GRACE_SECONDS = 600
"""What a launch may take beyond its build."""


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
    claims: BuildClaims
    counters: Counters
    commits: Commits
    shares: ClientShares

    @classmethod
    def on(cls, table: Table, clock: Clock, settings: Settings) -> State:
        place = (table, clock)
        oldest_image = OLDEST_IMAGE_DAYS * 86400 if settings.builder == "codebuild" else 0
        quotas, environments = Quotas(*place), Environments(*place, oldest_image)
        slots = BuildSlots(*place, FairOrder(settings.build_slots, settings.client_builds, settings.owner_builds))
        waiting = (settings.client_line, settings.owner_line)
        return cls(
            Launches(*place),
            environments,
            quotas,
            Sessions(*place, quotas),
            BuildLogs(*place),
            slots,
            BuildClaims(*place, environments, slots, *waiting),
            Counters(*place),
            Commits(*place),
            shares_of(table, clock, settings),
        )


def shares_of(table: Table, clock: Clock, settings: Settings) -> ClientShares:
    """What each client may take."""
    launch_seconds = settings.build_seconds + DEADLINE_GRACE_SECONDS
    limits = ClientLimits(
        settings.rate_limit,
        settings.rate_seconds,
        page_launches=settings.page_rate_limit,
        streams=settings.client_streams,
        lease_seconds=settings.stream_seconds or launch_seconds,
    )
    window = max(limits.seconds, limits.lease_seconds, settings.max_age_seconds)
    return ClientShares(table, clock, Clients(settings.secret.get_secret_value(), window), limits)


def rules_of(settings: Settings) -> Rules:
    """What the operator allows."""
    return Rules(
        total=settings.quota_total,
        per_repository=settings.quota_per_repository,
        per_owner=settings.quota_per_owner,
        per_client=settings.client_sessions,
        favoured_quota=settings.quota_favoured,
        favoured=settings.favoured_specs,
        spec_rules=tuple(SpecRule(rule.pattern, rule.config.quota) for rule in settings.spec_rules),
        banned_specs=settings.banned_specs,
        allowed_specs=settings.allowed_specs,
        banned_networks=settings.ban_networks,
        own_refs_only=settings.own_refs_only,
    )


def open_to_other_names(settings: Settings) -> str:
    """Return a warning if a web page whose own name was made to lead here could read private hosts' repositories; else an empty text.

    The local front compares the request's name with its own where it has one: see `infra/local/front.py`.
    """
    if settings.queues != "memory" or settings.launcher == "process":
        return ""
    if settings.public_url or settings.private_repositories or not settings.allowed_private_hosts:
        return ""
    return (
        "A web page whose name is made to lead to this Bindery can read repositories at the hosts in BINDERY_ALLOWED_PRIVATE_HOSTS. "
        "Name this Bindery's own address in BINDERY_PUBLIC_URL: then it answers to that name and localhost only."
    )


def blind_to_clients(settings: Settings) -> str:
    """Return a warning if others reach this Bindery by a proxy only, and none is trusted to say who they are; else an empty text.

    The local front listens on loopback, so with sessions that are not processes others come by a proxy. API Gateway knows its peer,
    which is a proxy where `public_url` is that proxy's address.
    """
    front, gateway = settings.queues == "memory", bool(settings.public_url)
    if settings.trusted_proxies or settings.launcher == "process" or (not front and not gateway):
        return ""
    banned = "BINDERY_BAN_NETWORKS refuses none of them, and " if settings.ban_networks else ""
    limits = "limits per client do not hold for them" if front else "they share the limits of one client"
    return f"Clients that come by a proxy cannot be told apart: {banned}{limits}. Name the proxy's network in BINDERY_TRUSTED_PROXIES."
