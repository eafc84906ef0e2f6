"""Puts the real use cases together on given ports, exactly as bootstrap does."""

from collections.abc import Callable
from dataclasses import dataclass

from bindery.domain.launch import Stage
from bindery.domain.messages import (
    BuildChanged,
    BuildRequested,
    LogWritten,
    ResolveRequested,
    SessionRequested,
    StopRequested,
)
from bindery.domain.rules import Rules
from bindery.domain.tokens import Tokens
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.session_launcher import SessionLauncher
from bindery.ports.table import Table
from bindery.state.build_logs import BuildLogs
from bindery.state.commits import Commits
from bindery.state.counters import Counters
from bindery.state.environments import Environments
from bindery.state.launches import Launches
from bindery.state.quotas import Quotas
from bindery.state.rates import Rates
from bindery.state.sessions import Sessions
from bindery.usecases.cull_sessions import CullSessions
from bindery.usecases.end_launch import EndLaunch
from bindery.usecases.fail_launch import FailLaunch
from bindery.usecases.follow_launch import FollowLaunch
from bindery.usecases.identify_environment import IdentifyEnvironment
from bindery.usecases.move_on import MoveOn
from bindery.usecases.open_launch import OpenLaunch
from bindery.usecases.persevere import Persevere
from bindery.usecases.reconcile import Reconcile
from bindery.usecases.record_build import RecordBuild
from bindery.usecases.record_log import RecordLog
from bindery.usecases.recount_places import RecountPlaces
from bindery.usecases.resolve_repository import ResolveRepository
from bindery.usecases.start_build import StartBuild
from bindery.usecases.start_session import StartSession
from bindery.usecases.stop_launch import StopLaunch
from bindery.usecases.stop_session import StopSession
from bindery.usecases.try_again import TryAgain


@dataclass(frozen=True)
class Ports:
    """Everything that the use cases need of the world."""

    table: Table
    queue: Queue
    builds: BuildService
    launcher: SessionLauncher
    provider: Callable[[str], RepositoryProvider]
    clock: Clock


@dataclass(frozen=True)
class Limits:
    """Settings, by their names there. Seconds."""

    build_seconds: int = 600
    launch_grace_seconds: int = 600
    idle_seconds: float = 600
    max_age_seconds: float = 3600
    cull_seconds: float = 60
    rate_limit: int = 10
    rate_seconds: int = 3600
    allowed_origins: tuple[str, ...] | None = None
    secret: str = "a secret of the tests, 32 characters or more"


@dataclass(frozen=True)
class State:
    """Every kind of record, on one table."""

    launches: Launches
    environments: Environments
    quotas: Quotas
    sessions: Sessions
    logs: BuildLogs
    counters: Counters
    commits: Commits
    rates: Rates


@dataclass(frozen=True)
class System:
    """Every verb, ready to be called."""

    state: State
    tokens: Tokens
    open_launch: OpenLaunch
    follow_launch: FollowLaunch
    stop_launch: StopLaunch
    end_launch: EndLaunch
    try_again: TryAgain
    move_on: MoveOn
    resolve_repository: Callable[[ResolveRequested], None]
    start_build: StartBuild
    record_build: RecordBuild
    record_log: RecordLog
    start_session: Callable[[SessionRequested], None]
    stop_session: StopSession
    cull_sessions: CullSessions
    reconcile: Reconcile
    fail_launch: FailLaunch


def wire(ports: Ports, rules: Rules | None = None, limits: Limits | None = None) -> System:
    """The system on these ports."""
    rules, limits = rules or Rules(), limits or Limits()
    kept = state_on(ports, limits)
    queue, clock, builds, launcher = ports.queue, ports.clock, ports.builds, ports.launcher
    tokens = Tokens(limits.secret)
    end_launch = EndLaunch(kept.launches, queue, kept.counters, clock)
    try_again = TryAgain(kept.launches, queue, end_launch, clock)
    move_on = MoveOn(kept.environments, queue, end_launch, try_again)
    record_build = RecordBuild(kept.environments, kept.launches, builds, kept.counters, move_on)
    resolve = ResolveRepository(
        kept.launches,
        kept.environments,
        ports.provider,
        IdentifyEnvironment(builds, kept.commits),
        builds,
        kept.quotas,
        rules,
        move_on,
        clock,
    )
    start = StartSession(
        kept.launches,
        kept.environments,
        kept.sessions,
        launcher,
        queue,
        rules,
        kept.counters,
        move_on,
        try_again,
        clock,
        cull_seconds=limits.cull_seconds,
    )
    return System(
        state=kept,
        tokens=tokens,
        open_launch=OpenLaunch(
            kept.launches,
            queue,
            tokens,
            kept.rates,
            rules,
            ports.provider,
            clock,
            launch_seconds=limits.build_seconds + limits.launch_grace_seconds,
            allowed_origins=limits.allowed_origins,
        ),
        follow_launch=FollowLaunch(kept.launches, kept.sessions, kept.logs),
        stop_launch=StopLaunch(kept.launches, queue, end_launch),
        end_launch=end_launch,
        try_again=try_again,
        move_on=move_on,
        resolve_repository=Persevere(resolve, Stage.RESOLVING, kept.launches, end_launch, try_again),
        start_build=StartBuild(kept.environments, builds, limits.build_seconds),
        record_build=record_build,
        record_log=RecordLog(kept.logs),
        start_session=Persevere(start, Stage.STARTING, kept.launches, end_launch, try_again),
        stop_session=StopSession(kept.sessions, launcher),
        cull_sessions=CullSessions(
            kept.sessions,
            launcher,
            queue,
            kept.counters,
            clock,
            limits.idle_seconds,
            limits.max_age_seconds,
            limits.cull_seconds,
        ),
        reconcile=Reconcile(
            kept.launches,
            kept.environments,
            kept.sessions,
            builds,
            launcher,
            queue,
            move_on,
            end_launch,
            record_build,
            RecountPlaces(ports.table, kept.quotas, kept.sessions),
            clock,
            limits.build_seconds,
        ),
        fail_launch=FailLaunch(kept.launches, kept.environments, end_launch, record_build),
    )


def state_on(ports: Ports, limits: Limits) -> State:
    """Every kind of record, on the table of these ports."""
    place = (ports.table, ports.clock)
    quotas = Quotas(*place)
    return State(
        Launches(*place),
        Environments(*place),
        quotas,
        Sessions(*place, quotas),
        BuildLogs(*place),
        Counters(*place),
        Commits(*place),
        Rates(*place, limits.rate_limit, limits.rate_seconds),
    )


def handlers(system: System) -> dict[str, Callable[[str], object]]:
    """By queue, as the functions do: read the message, call the verb."""
    return {
        "resolve": lambda body: system.resolve_repository(ResolveRequested.model_validate_json(body)),
        "builds": lambda body: system.start_build(BuildRequested.model_validate_json(body)),
        "sessions": lambda body: system.start_session(SessionRequested.model_validate_json(body)),
        "stops": lambda body: system.stop_session(StopRequested.model_validate_json(body)),
        "events": lambda body: system.record_build(BuildChanged.model_validate_json(body)),
        "logs": lambda body: system.record_log(LogWritten.model_validate_json(body)),
    }
