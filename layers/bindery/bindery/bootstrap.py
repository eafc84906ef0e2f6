"""The composition root: the only place that picks adapters. Each function of the system asks here for its use case, once.

Adapters are imported inside the functions that need them, so that a function loads only what it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bindery.domain.errors import UnknownProvider
from bindery.domain.rules import Rules, SpecRule
from bindery.domain.tokens import Tokens
from bindery.settings import Settings

if TYPE_CHECKING:
    from bindery.adapters.repositories.guard import GuardedClient
    from bindery.domain.messages import ResolveRequested, SessionRequested
    from bindery.ports.build_service import BuildService
    from bindery.ports.clock import Clock
    from bindery.ports.contents import Contents
    from bindery.ports.queue import Queue
    from bindery.ports.repository_provider import RepositoryProvider
    from bindery.ports.session_launcher import SessionLauncher
    from bindery.ports.table import Table
    from bindery.state.build_logs import BuildLogs
    from bindery.state.counters import Counters
    from bindery.state.environments import Environments
    from bindery.state.launches import Launches
    from bindery.state.quotas import Quotas
    from bindery.state.sessions import Sessions
    from bindery.usecases.cull_sessions import CullSessions
    from bindery.usecases.end_launch import EndLaunch
    from bindery.usecases.fail_launch import FailLaunch
    from bindery.usecases.follow_launch import FollowLaunch
    from bindery.usecases.identify_environment import IdentifyEnvironment
    from bindery.usecases.move_on import MoveOn
    from bindery.usecases.open_launch import OpenLaunch
    from bindery.usecases.reconcile import Reconcile
    from bindery.usecases.record_build import RecordBuild
    from bindery.usecases.record_log import RecordLog
    from bindery.usecases.start_build import StartBuild
    from bindery.usecases.stop_launch import StopLaunch
    from bindery.usecases.stop_session import StopSession
    from bindery.usecases.try_again import TryAgain
    from bindery.web.api import Api
    from bindery.web.site import Site
    from bindery.web.stream import Stream

DEADLINE_GRACE_SECONDS = 600


@cache
def settings() -> Settings:
    return Settings.read()


@cache
def home() -> Path:
    return Path(settings().home).expanduser().absolute()


@cache
def clock() -> Clock:
    from bindery.adapters.clock import SystemClock

    return SystemClock()


@cache
def table() -> Table:
    if settings().table == "sqlite":
        from bindery.adapters.tables.sqlite import SqliteTable

        return SqliteTable(home() / "table.sqlite")
    import boto3

    from bindery.adapters.tables.dynamodb import DynamoTable

    return DynamoTable(settings().table, boto3.client("dynamodb"))


@cache
def queue() -> Queue:
    if settings().queues == "memory":
        from bindery.adapters.queues.memory import MemoryQueues

        return MemoryQueues()
    import boto3

    from bindery.adapters.queues.sqs import SqsQueues

    return SqsQueues(boto3.client("sqs"), settings().queue_urls)


@cache
def tokens() -> Tokens:
    return Tokens(settings().secret.get_secret_value())


@cache
def rules() -> Rules:
    given = settings()
    return Rules(
        total=given.quota_total,
        per_repository=given.quota_per_repository,
        favoured_quota=given.quota_favoured,
        favoured=given.favoured_specs,
        spec_rules=tuple(SpecRule(rule["pattern"], int(rule["config"]["quota"])) for rule in given.spec_rules),
        banned_specs=given.banned_specs,
        allowed_specs=given.allowed_specs,
        banned_networks=given.ban_networks,
    )


@cache
def guarded_client() -> GuardedClient:
    from bindery.adapters.repositories.guard import GuardedClient

    return GuardedClient(settings().allowed_private_hosts)


@cache
def providers() -> Mapping[str, RepositoryProvider]:
    from bindery.adapters.repositories.registry import make_providers

    return make_providers(settings(), guarded_client(), table(), clock())


def provider(name: str) -> RepositoryProvider:
    try:
        return providers()[name]
    except KeyError:
        raise UnknownProvider(provider=name, known=", ".join(providers())) from None


@cache
def contents() -> Contents:
    from bindery.adapters.repositories.contents import GitContents

    return GitContents(home() / "repositories", guarded_client(), clock())


@cache
def builds() -> BuildService:
    import sys

    from bindery.adapters.builds.uv import UvBuilds

    given = settings()
    beside = Path(sys.executable).parent / "uv"
    return UvBuilds(
        home(),
        contents(),
        queue(),
        clock(),
        slots=given.build_slots,
        max_bytes=given.disk_bytes,
        uv=str(beside) if beside.exists() else "",
    )


@cache
def launcher() -> SessionLauncher:
    from bindery.adapters.builds.environments import environment_of, hold
    from bindery.adapters.sessions.process import ProcessSessions

    return ProcessSessions(
        home(),
        contents(),
        clock(),
        find_environment=lambda image: environment_of(home(), image),
        hold_environment=lambda image: hold(home(), image),
        allowed_origins=settings().allowed_origins,
    )


def sessions_are_isolated() -> bool:
    """Whether a session cannot touch this machine: process sessions can, so nothing may start one unasked."""
    return settings().launcher != "process"


@cache
def launches() -> Launches:
    from bindery.state.launches import Launches

    return Launches(table(), clock())


@cache
def environments() -> Environments:
    from bindery.state.environments import Environments

    return Environments(table(), clock())


@cache
def quotas() -> Quotas:
    from bindery.state.quotas import Quotas

    return Quotas(table(), clock())


@cache
def sessions() -> Sessions:
    from bindery.state.sessions import Sessions

    return Sessions(table(), clock(), quotas())


@cache
def build_logs() -> BuildLogs:
    from bindery.state.build_logs import BuildLogs

    return BuildLogs(table(), clock())


@cache
def counters() -> Counters:
    from bindery.state.counters import Counters

    return Counters(table(), clock())


@cache
def open_launch() -> OpenLaunch:
    from bindery.state.rates import Rates
    from bindery.usecases.open_launch import OpenLaunch

    given = settings()
    return OpenLaunch(
        launches(),
        queue(),
        tokens(),
        Rates(table(), clock(), given.rate_limit, given.rate_seconds),
        rules(),
        provider,
        clock(),
        launch_seconds=given.build_seconds + DEADLINE_GRACE_SECONDS,
        allowed_origins=None if sessions_are_isolated() else given.allowed_origins,
    )


@cache
def follow_launch() -> FollowLaunch:
    from bindery.usecases.follow_launch import FollowLaunch

    return FollowLaunch(launches(), sessions(), build_logs())


@cache
def end_launch() -> EndLaunch:
    from bindery.usecases.end_launch import EndLaunch

    return EndLaunch(launches(), queue(), counters(), clock())


@cache
def try_again() -> TryAgain:
    from bindery.usecases.try_again import TryAgain

    return TryAgain(launches(), queue(), end_launch(), clock())


@cache
def move_on() -> MoveOn:
    from bindery.usecases.move_on import MoveOn

    return MoveOn(environments(), queue(), end_launch(), try_again())


@cache
def identify_environment() -> IdentifyEnvironment:
    from bindery.state.commits import Commits
    from bindery.usecases.identify_environment import IdentifyEnvironment

    return IdentifyEnvironment(builds(), Commits(table(), clock()))


@cache
def resolve_repository() -> Callable[[ResolveRequested], None]:
    from bindery.domain.launch import Stage
    from bindery.usecases.persevere import Persevere
    from bindery.usecases.resolve_repository import ResolveRepository

    step = ResolveRepository(
        launches(),
        environments(),
        provider,
        identify_environment(),
        builds(),
        quotas(),
        rules(),
        move_on(),
        clock(),
    )
    return Persevere(step, Stage.RESOLVING, launches(), end_launch(), try_again())


@cache
def start_build() -> StartBuild:
    from bindery.usecases.start_build import StartBuild

    return StartBuild(environments(), builds(), settings().build_seconds)


@cache
def record_build() -> RecordBuild:
    from bindery.usecases.record_build import RecordBuild

    return RecordBuild(environments(), launches(), builds(), counters(), move_on())


@cache
def record_log() -> RecordLog:
    from bindery.usecases.record_log import RecordLog

    return RecordLog(build_logs())


@cache
def start_session() -> Callable[[SessionRequested], None]:
    from bindery.domain.launch import Stage
    from bindery.usecases.persevere import Persevere
    from bindery.usecases.start_session import StartSession

    step = StartSession(
        launches(),
        environments(),
        sessions(),
        launcher(),
        queue(),
        rules(),
        counters(),
        move_on(),
        try_again(),
        clock(),
        cull_seconds=settings().cull_seconds,
    )
    return Persevere(step, Stage.STARTING, launches(), end_launch(), try_again())


@cache
def stop_session() -> StopSession:
    from bindery.usecases.stop_session import StopSession

    return StopSession(sessions(), launcher())


@cache
def stop_launch() -> StopLaunch:
    from bindery.usecases.stop_launch import StopLaunch

    return StopLaunch(launches(), queue(), end_launch())


@cache
def cull_sessions() -> CullSessions:
    from bindery.usecases.cull_sessions import CullSessions

    given = settings()
    return CullSessions(
        sessions(),
        launcher(),
        queue(),
        counters(),
        clock(),
        given.idle_seconds,
        given.max_age_seconds,
        given.cull_seconds,
    )


@cache
def reconcile() -> Reconcile:
    from bindery.usecases.reconcile import Reconcile
    from bindery.usecases.recount_places import RecountPlaces

    return Reconcile(
        launches(),
        environments(),
        sessions(),
        builds(),
        launcher(),
        queue(),
        move_on(),
        end_launch(),
        record_build(),
        RecountPlaces(table(), quotas(), sessions()),
        clock(),
        settings().build_seconds,
    )


@cache
def fail_launch() -> FailLaunch:
    from bindery.usecases.fail_launch import FailLaunch

    return FailLaunch(launches(), environments(), end_launch(), record_build())


@cache
def stream() -> Stream:
    from bindery.web.stream import Stream

    given = settings()
    return Stream(open_launch(), follow_launch(), tokens(), given.public_url, given.cors_allow_origin)


@cache
def site() -> Site:
    from bindery.web.site import Site

    given = settings()
    return Site(
        providers,
        provider,
        tokens(),
        rules(),
        clock(),
        given.public_url,
        given.launch_title,
        isolated=sessions_are_isolated(),
        checks={"Table": lambda: table().get("health", "health"), "Builder": lambda: builds().name},
        builder=lambda: builds().name,
        sums=counters().read,
        gauges={
            "binderhub_inprogress_builds": environments().building,
            "binderhub_inprogress_launches": lambda: sum(1 for _ in launches().unended()),
            "bindery_sessions": quotas().taken,
        },
    )


@cache
def api() -> Api:
    from bindery.web.api import Api

    return Api(open_launch(), follow_launch(), stop_launch(), tokens(), settings().public_url)
