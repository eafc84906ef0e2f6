"""Use cases and pages, wired on the given ports: the same wiring for deployment, the local runtime and the simulation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from bindery.domain.access_policy import Rules, SpecRule
from bindery.domain.launch import Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
from bindery.domain.tokens import Tokens
from bindery.setting_warnings import blind_to_clients
from bindery.settings import Settings
from bindery.state.records import DEADLINE_GRACE_SECONDS, State
from bindery.state.rule_book import RuleBook

if TYPE_CHECKING:
    from bindery.ports.build_service import BuildService
    from bindery.ports.clock import Clock
    from bindery.ports.doi_directory import DoiDirectory
    from bindery.ports.queue import Queue
    from bindery.ports.repository_provider import RepositoryProvider
    from bindery.ports.session_launcher import SessionLauncher
    from bindery.ports.table import Table
    from bindery.state.confirmed import Confirmed
    from bindery.state.counters import Labels
    from bindery.state.metrics_text import MetricsText
    from bindery.state.popular import Popular
    from bindery.usecases.cull_sessions import CullSessions
    from bindery.usecases.fail_launch import FailLaunch
    from bindery.usecases.follow_launch import FollowLaunch
    from bindery.usecases.open_launch import OpenLaunch
    from bindery.usecases.reconcile import Reconcile
    from bindery.usecases.record_build import RecordBuild
    from bindery.usecases.record_log import RecordLog
    from bindery.usecases.render_metrics import RenderMetrics
    from bindery.usecases.start_build import StartBuild
    from bindery.usecases.steps.advance import Advance
    from bindery.usecases.steps.end_launch import EndLaunch
    from bindery.usecases.steps.release_slots import ReleaseSlots
    from bindery.usecases.steps.retry import RetryStep
    from bindery.usecases.steps.run_step import RunStep
    from bindery.usecases.steps.running_here import RunningHere
    from bindery.usecases.steps.wanted_builds import WantedBuilds
    from bindery.usecases.stop_launch import StopLaunch
    from bindery.usecases.stop_session import StopSession
    from bindery.web.api.launches import Api
    from bindery.web.api.routes import ApiRoutes
    from bindery.web.cors import Cors
    from bindery.web.metrics_access import MetricsAccess
    from bindery.web.pages.routes import SiteRoutes
    from bindery.web.pages.site import Site
    from bindery.web.proxies import Proxies
    from bindery.web.stream.app import Stream
    from bindery.web.stream.change_notifier import ChangeNotifier

METRICS_SECONDS = 900
"""Seconds for which a rendering of /metrics is valid, at least."""


class Ports(Protocol):
    """Ports that the use cases need; each may be made at its first use.

    provider: raises UnknownProvider. isolated: True if a session cannot touch the machine that Bindery runs on.
    notifier: notifies of writes to the table; None if other processes write it.
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
    def notifier(self) -> ChangeNotifier | None: ...
    def providers(self) -> Mapping[str, RepositoryProvider]: ...
    def provider(self, name: str) -> RepositoryProvider: ...


class System:
    """Use cases, each made at its first use, so that a function loads and makes only the objects that it uses."""

    def __init__(self, ports: Ports, settings: Settings) -> None:
        self.ports = ports
        self.settings = settings

    @cached_property
    def state(self) -> State:
        return State.on(self.ports.table, self.ports.clock, self.settings)

    @cached_property
    def rule_book(self) -> RuleBook:
        return RuleBook(self.ports.table, self.ports.clock, _rules(self.settings))

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.settings.secret.get_secret_value())

    @cached_property
    def open_launch(self) -> OpenLaunch:
        from bindery.usecases.open_launch import OpenLaunch

        return OpenLaunch(
            self.state.launches,
            self.ports.queue,
            self.tokens,
            self.state.shares,
            self.state.quotas,
            self.rule_book.rules,
            self.ports.provider,
            lambda: self.ports.doi_directory,
            self.ports.clock,
            launch_seconds=self.settings.build_seconds + DEADLINE_GRACE_SECONDS,
            allowed_origins=self.settings.allowed_origins,
            isolated=self.ports.isolated,
            confirm=None if self.ports.isolated else self.confirmed.remember,
        )

    @cached_property
    def follow_launch(self) -> FollowLaunch:
        from bindery.usecases.follow_launch import FollowLaunch

        state = self.state
        return FollowLaunch(state.launches, state.sessions, state.logs, state.slots)

    @cached_property
    def end_launch(self) -> EndLaunch:
        from bindery.usecases.steps.end_launch import EndLaunch

        return EndLaunch(self.state.launches, self.ports.queue, self.ports.clock)

    @cached_property
    def retry(self) -> RetryStep:
        from bindery.usecases.steps.retry import RetryStep

        return RetryStep(self.state.launches, self.ports.queue, self.end_launch, self.ports.clock)

    @cached_property
    def running_here(self) -> RunningHere:
        from bindery.usecases.steps.running_here import RunningHere

        return RunningHere()

    @cached_property
    def advance(self) -> Advance:
        from bindery.usecases.steps.advance import Advance

        state, ports = self.state, self.ports
        return Advance(state.environments, state.slots, ports.builds, ports.queue, self.end_launch, self.retry)

    @cached_property
    def resolve_repository(self) -> RunStep[ResolveRequested]:
        from bindery.adapters.http.address_rules import AddressRules
        from bindery.usecases.resolve_repository import ResolveRepository
        from bindery.usecases.steps.claim_environment import ClaimEnvironment
        from bindery.usecases.steps.identify_environment import IdentifyEnvironment
        from bindery.usecases.steps.know_commit import KnowCommit
        from bindery.usecases.steps.run_step import RunStep

        state, ports = self.state, self.ports
        identify, know_commit = IdentifyEnvironment(ports.builds, state.commits), KnowCommit(state.commits)
        step = ResolveRepository(
            state.launches,
            ports.provider,
            know_commit,
            ClaimEnvironment(state.environments, identify, know_commit, ports.builds, state.claims),
            state.quotas,
            self.rule_book.rules,
            self.advance,
            ports.clock,
            AddressRules(self.settings.allowed_private_hosts).allows_url,
        )
        return RunStep(
            step,
            Stage.RESOLVING,
            state.launches,
            self.advance,
            self.end_launch,
            self.retry,
            ports.clock,
            self.running_here,
        )

    @cached_property
    def start_build(self) -> StartBuild:
        from bindery.usecases.start_build import StartBuild

        state, seconds = self.state, self.settings.build_seconds
        return StartBuild(
            state.environments, self.wanted_builds, state.slots, self.ports.builds, self.record_build, seconds
        )

    @cached_property
    def wanted_builds(self) -> WantedBuilds:
        from bindery.usecases.steps.wanted_builds import WantedBuilds

        return WantedBuilds(self.state.environments, self.state.launches)

    @cached_property
    def release_slots(self) -> ReleaseSlots:
        from bindery.usecases.steps.release_slots import ReleaseSlots

        return ReleaseSlots(self.state.slots, self.state.environments, self.ports.queue)

    @cached_property
    def record_build(self) -> RecordBuild:
        from bindery.usecases.record_build import RecordBuild
        from bindery.usecases.steps.advance_waiters import AdvanceWaiters

        state, ports = self.state, self.ports
        waiters = AdvanceWaiters(state.environments, state.launches, ports.queue, self.advance)
        return RecordBuild(state.environments, ports.builds, state.counters, waiters, self.release_slots, ports.clock)

    @cached_property
    def record_log(self) -> RecordLog:
        from bindery.usecases.record_log import RecordLog

        return RecordLog(self.state.logs)

    @cached_property
    def start_session(self) -> RunStep[SessionRequested]:
        from bindery.usecases.start_session import StartSession
        from bindery.usecases.steps.run_step import RunStep

        state, ports = self.state, self.ports
        step = StartSession(
            state.launches,
            state.environments,
            state.sessions,
            ports.launcher,
            ports.queue,
            self.rule_book.rules,
            self.retry,
            ports.clock,
            cull_seconds=self.settings.cull_seconds,
            start_seconds=self.settings.start_seconds,
        )
        return RunStep(
            step,
            Stage.STARTING,
            state.launches,
            self.advance,
            self.end_launch,
            self.retry,
            ports.clock,
            self.running_here,
        )

    @cached_property
    def stop_session(self) -> StopSession:
        from bindery.usecases.stop_session import StopSession

        return StopSession(self.state.sessions, self.ports.launcher)

    @cached_property
    def stop_launch(self) -> StopLaunch:
        from bindery.usecases.stop_launch import StopLaunch

        return StopLaunch(self.state.launches, self.ports.queue, self.end_launch)

    @cached_property
    def cull_sessions(self) -> CullSessions:
        from bindery.usecases.cull_sessions import CullSessions

        state, ports, settings = self.state, self.ports, self.settings
        limits = (settings.idle_seconds, settings.max_age_seconds, settings.busy_seconds, settings.cull_seconds)
        return CullSessions(state.sessions, ports.launcher, ports.queue, state.counters, ports.clock, *limits)

    @cached_property
    def reconcile(self) -> Reconcile:
        from bindery.usecases.reconcile import Reconcile
        from bindery.usecases.steps.count_launches import CountLaunches
        from bindery.usecases.steps.evict_images import EvictImages
        from bindery.usecases.steps.recount_quotas import RecountQuotas
        from bindery.usecases.steps.stop_unwanted import StopUnwanted

        state, ports = self.state, self.ports
        return Reconcile(
            state.launches,
            state.environments,
            state.sessions,
            state.slots,
            ports.builds,
            ports.launcher,
            ports.queue,
            self.advance,
            self.end_launch,
            self.record_build,
            StopUnwanted(state.environments, self.wanted_builds, ports.builds, ports.clock),
            self.release_slots,
            RecountQuotas(ports.table, state.quotas),
            EvictImages(state.environments, ports.builds, self.settings.image_days),
            CountLaunches(state.launches, state.counters, self.popular),
            self.render_metrics if self.metrics_access.possible else None,
            ports.clock,
            self.settings.build_seconds,
        )

    @cached_property
    def confirmed(self) -> Confirmed:
        from bindery.state.confirmed import Confirmed

        return Confirmed(self.ports.table, self.ports.clock)

    @cached_property
    def popular(self) -> Popular:
        from bindery.state.popular import Popular

        return Popular(self.ports.table, self.ports.clock)

    @cached_property
    def metrics_text(self) -> MetricsText:
        from bindery.state.metrics_text import MetricsText

        seconds = max(METRICS_SECONDS, 3 * self.settings.reconcile_seconds)
        return MetricsText(self.ports.table, self.ports.clock, seconds)

    @cached_property
    def metrics_access(self) -> MetricsAccess:
        from bindery.web.metrics_access import MetricsAccess

        settings = self.settings
        token = settings.metrics_token.get_secret_value()
        return MetricsAccess(token, settings.metrics_networks, local=not self.ports.isolated)

    @cached_property
    def render_metrics(self) -> RenderMetrics:
        from bindery.usecases.render_metrics import RenderMetrics

        def render(sums: Mapping[str, Mapping[Labels, float]], gauges: Mapping[str, float]) -> str:
            from bindery.web.pages.metrics import exposition  # loads Prometheus' client: no start waits for it

            return exposition(sums, gauges)

        state = self.state
        gauges = {
            "binderhub_inprogress_builds": state.environments.building,
            "binderhub_inprogress_launches": lambda: sum(1 for _ in state.launches.unended()),
            "bindery_build_slots_in_use": lambda: len(state.slots.held()),
            "bindery_builds_waiting": state.slots.waiting,
            "bindery_sessions": state.quotas.taken,
        }
        return RenderMetrics(state.counters, self.popular, self.metrics_text, gauges, render, self.ports.clock)

    @cached_property
    def fail_launch(self) -> FailLaunch:
        from bindery.usecases.fail_launch import FailLaunch

        state = self.state
        return FailLaunch(state.launches, state.environments, self.end_launch, self.advance, self.record_build)

    @cached_property
    def proxies(self) -> Proxies:
        from bindery.web.proxies import Proxies

        warning = blind_to_clients(self.settings)
        if warning and self.settings.queues == "sqs":  # the local runtime prints the warning at its start
            logging.getLogger("bindery").warning(warning)
        return Proxies.of(self.settings.trusted_proxies)

    @cached_property
    def cors(self) -> Cors:
        from bindery.web.cors import Cors

        return Cors(self.settings.allow_origin, self.settings.reading_origins)

    @cached_property
    def stream(self) -> Stream:
        from bindery.web.stream.app import Stream

        settings = self.settings
        return Stream(
            self.open_launch,
            self.follow_launch,
            self.tokens,
            settings.public_url,
            self.cors,
            settings.stream_seconds,
            self.ports.notifier,
            settings.page_stream_seconds,
            self.state.shares.close,
            self.proxies,
        )

    @cached_property
    def api(self) -> Api:
        from bindery.usecases.detect_address import DetectAddress
        from bindery.web.api.launches import Api

        settings = self.settings
        detect = DetectAddress(self.ports.providers)
        return Api(self.open_launch, self.follow_launch, self.stop_launch, detect, self.tokens, settings.public_url)

    @cached_property
    def answer_api(self) -> ApiRoutes:
        from bindery.web.api.routes import ApiRoutes

        return ApiRoutes(self.api, lambda: self.site, self.cors, self.proxies)

    @cached_property
    def site(self) -> Site:
        from bindery.web.pages.site import Site

        state, ports = self.state, self.ports
        return Site(
            ports.providers,
            ports.provider,
            lambda: ports.doi_directory,
            state.shares.count,
            state.launches.find,
            self.tokens,
            self.rule_book.rules,
            ports.clock,
            self.settings.public_url,
            self.settings.launch_title,
            isolated=ports.isolated,
            is_confirmed=self.confirmed.has,
            checks={"Table": lambda: ports.table.get("health", "health"), "Builder": lambda: ports.builds.name},
            builder=lambda: ports.builds.name,
            metrics_access=self.metrics_access,
            metrics_text=self.metrics_text.get,
        )

    @cached_property
    def serve_pages(self) -> SiteRoutes:
        from bindery.web.pages.routes import SiteRoutes

        return SiteRoutes(self.site, self.proxies)


def _rules(settings: Settings) -> Rules:
    """Return the operator's access rules from the settings."""
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
