"""Use cases and pages, put together from what the settings pick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bindery.bootstrap.picks import (
    builds,
    clock,
    launcher,
    provider,
    providers,
    queue,
    rules,
    sessions_are_isolated,
    settings,
    table,
    tokens,
)
from bindery.domain.launch import Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
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

if TYPE_CHECKING:
    from bindery.web.api import Api
    from bindery.web.site import Site
    from bindery.web.stream import Stream

DEADLINE_GRACE_SECONDS = 600


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


@cache
def state() -> State:
    place, given = (table(), clock()), settings()
    quotas = Quotas(*place)
    return State(
        Launches(*place),
        Environments(*place),
        quotas,
        Sessions(*place, quotas),
        BuildLogs(*place),
        Counters(*place),
        Commits(*place),
        Rates(*place, given.rate_limit, given.rate_seconds),
    )


@cache
def open_launch() -> OpenLaunch:
    given = settings()
    return OpenLaunch(
        state().launches,
        queue(),
        tokens(),
        state().rates,
        rules(),
        provider,
        clock(),
        launch_seconds=given.build_seconds + DEADLINE_GRACE_SECONDS,
        allowed_origins=None if sessions_are_isolated() else given.allowed_origins,
    )


@cache
def follow_launch() -> FollowLaunch:
    return FollowLaunch(state().launches, state().sessions, state().logs)


@cache
def end_launch() -> EndLaunch:
    return EndLaunch(state().launches, queue(), state().counters, clock())


@cache
def try_again() -> TryAgain:
    return TryAgain(state().launches, queue(), end_launch(), clock())


@cache
def move_on() -> MoveOn:
    return MoveOn(state().environments, queue(), end_launch(), try_again())


@cache
def resolve_repository() -> Callable[[ResolveRequested], None]:
    kept = state()
    identify = IdentifyEnvironment(builds(), kept.commits)
    step = ResolveRepository(
        kept.launches, kept.environments, provider, identify, builds(), kept.quotas, rules(), move_on(), clock()
    )
    return Persevere(step, Stage.RESOLVING, kept.launches, end_launch(), try_again())


@cache
def start_build() -> StartBuild:
    return StartBuild(state().environments, builds(), settings().build_seconds)


@cache
def record_build() -> RecordBuild:
    return RecordBuild(state().environments, state().launches, builds(), state().counters, move_on())


@cache
def record_log() -> RecordLog:
    return RecordLog(state().logs)


@cache
def start_session() -> Callable[[SessionRequested], None]:
    kept = state()
    step = StartSession(
        kept.launches,
        kept.environments,
        kept.sessions,
        launcher(),
        queue(),
        rules(),
        kept.counters,
        move_on(),
        try_again(),
        clock(),
        cull_seconds=settings().cull_seconds,
    )
    return Persevere(step, Stage.STARTING, kept.launches, end_launch(), try_again())


@cache
def stop_session() -> StopSession:
    return StopSession(state().sessions, launcher())


@cache
def stop_launch() -> StopLaunch:
    return StopLaunch(state().launches, queue(), end_launch())


@cache
def cull_sessions() -> CullSessions:
    given, kept = settings(), state()
    limits = (given.idle_seconds, given.max_age_seconds, given.cull_seconds)
    return CullSessions(kept.sessions, launcher(), queue(), kept.counters, clock(), *limits)


@cache
def reconcile() -> Reconcile:
    kept = state()
    return Reconcile(
        kept.launches,
        kept.environments,
        kept.sessions,
        builds(),
        launcher(),
        queue(),
        move_on(),
        end_launch(),
        record_build(),
        RecountPlaces(table(), kept.quotas, kept.sessions),
        clock(),
        settings().build_seconds,
    )


@cache
def fail_launch() -> FailLaunch:
    return FailLaunch(state().launches, state().environments, end_launch(), record_build())


@cache
def stream() -> Stream:
    from bindery.web.stream import Stream

    given = settings()
    return Stream(
        open_launch(), follow_launch(), tokens(), given.public_url, given.cors_allow_origin, given.stream_seconds
    )


@cache
def api() -> Api:
    from bindery.web.api import Api

    return Api(open_launch(), follow_launch(), stop_launch(), tokens(), settings().public_url)


@cache
def site() -> Site:
    from bindery.web.site import Site

    kept = state()
    return Site(
        providers,
        provider,
        tokens(),
        rules(),
        clock(),
        settings().public_url,
        settings().launch_title,
        isolated=sessions_are_isolated(),
        checks={"Table": lambda: table().get("health", "health"), "Builder": lambda: builds().name},
        builder=lambda: builds().name,
        sums=kept.counters.read,
        gauges={
            "binderhub_inprogress_builds": kept.environments.building,
            "binderhub_inprogress_launches": lambda: sum(1 for _ in kept.launches.unended()),
            "bindery_sessions": kept.quotas.taken,
        },
    )
