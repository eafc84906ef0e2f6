"""Factory of all kinds of records on one table."""

from __future__ import annotations

from dataclasses import dataclass

from bindery.domain.clients import Clients
from bindery.domain.environment import OLDEST_IMAGE_DAYS
from bindery.ports.clock import Clock
from bindery.ports.table import Table
from bindery.settings import Settings
from bindery.state.build_claims import BuildClaims
from bindery.state.build_logs import BuildLogs
from bindery.state.build_slots import BuildSlots
from bindery.state.client_shares import ClientLimits, ClientShares
from bindery.state.counters import Counters
from bindery.state.environment_keys import Commits
from bindery.state.environments import Environments
from bindery.state.fair_order import FairOrder
from bindery.state.launches import Launches
from bindery.state.quotas import Quotas
from bindery.state.sessions import Sessions

DEADLINE_GRACE_SECONDS = 600
"""Time that a launch may take in addition to its build."""


@dataclass(frozen=True)
class State:
    """The records that most use cases need."""

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
    """Return the limits per client, from the settings."""
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
