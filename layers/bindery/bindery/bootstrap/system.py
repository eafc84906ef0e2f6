"""Use cases and pages, put together on given ports: one wiring for what is deployed, what runs here and what is simulated."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from bindery.bootstrap.parts import DEADLINE_GRACE_SECONDS, Ports, State, blind_to_clients, rules_of
from bindery.domain.launch import Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
from bindery.domain.tokens import Tokens
from bindery.settings import Settings
from bindery.state.rule_book import RuleBook

if TYPE_CHECKING:
    from bindery.state.confirmed import Confirmed
    from bindery.state.metrics_text import MetricsText
    from bindery.state.popular import Popular
    from bindery.usecases.cull_sessions import CullSessions
    from bindery.usecases.end_launch import EndLaunch
    from bindery.usecases.fail_launch import FailLaunch
    from bindery.usecases.follow_launch import FollowLaunch
    from bindery.usecases.free_slots import FreeSlots
    from bindery.usecases.move_on import MoveOn
    from bindery.usecases.open_launch import OpenLaunch
    from bindery.usecases.persevere import Persevere
    from bindery.usecases.reconcile import Reconcile
    from bindery.usecases.record_build import RecordBuild
    from bindery.usecases.record_log import RecordLog
    from bindery.usecases.render_metrics import RenderMetrics
    from bindery.usecases.running_here import RunningHere
    from bindery.usecases.start_build import StartBuild
    from bindery.usecases.stop_launch import StopLaunch
    from bindery.usecases.stop_session import StopSession
    from bindery.usecases.try_again import TryAgain
    from bindery.usecases.wanted_builds import WantedBuilds
    from bindery.web.api import Api
    from bindery.web.api_routes import ApiRoutes
    from bindery.web.metrics_access import MetricsAccess
    from bindery.web.proxies import Proxies
    from bindery.web.site import Site
    from bindery.web.site_routes import SiteRoutes
    from bindery.web.stream import Stream

METRICS_SECONDS = 900
"""How long a rendering of /metrics counts, at least."""


class System:
    """Each verb is put together when it is first asked for, so that a function loads and makes only what it uses."""

    def __init__(self, ports: Ports, settings: Settings) -> None:
        self.ports = ports
        self.settings = settings

    @cached_property
    def state(self) -> State:
        return State.on(self.ports.table, self.ports.clock, self.settings)

    @cached_property
    def rule_book(self) -> RuleBook:
        return RuleBook(self.ports.table, self.ports.clock, rules_of(self.settings))

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

        kept = self.state
        return FollowLaunch(kept.launches, kept.sessions, kept.logs, kept.slots)

    @cached_property
    def end_launch(self) -> EndLaunch:
        from bindery.usecases.end_launch import EndLaunch

        return EndLaunch(self.state.launches, self.ports.queue, self.ports.clock)

    @cached_property
    def try_again(self) -> TryAgain:
        from bindery.usecases.try_again import TryAgain

        return TryAgain(self.state.launches, self.ports.queue, self.end_launch, self.ports.clock)

    @cached_property
    def running_here(self) -> RunningHere:
        from bindery.usecases.running_here import RunningHere

        return RunningHere()

    @cached_property
    def move_on(self) -> MoveOn:
        from bindery.usecases.move_on import MoveOn

        kept, ports = self.state, self.ports
        return MoveOn(kept.environments, kept.slots, ports.builds, ports.queue, self.end_launch, self.try_again)

    @cached_property
    def resolve_repository(self) -> Persevere[ResolveRequested]:
        from bindery.adapters.repositories.addresses import AddressRules
        from bindery.usecases.claim_environment import ClaimEnvironment
        from bindery.usecases.identify_environment import IdentifyEnvironment
        from bindery.usecases.know_commit import KnowCommit
        from bindery.usecases.persevere import Persevere
        from bindery.usecases.resolve_repository import ResolveRepository

        kept, ports = self.state, self.ports
        identify, know_commit = IdentifyEnvironment(ports.builds, kept.commits), KnowCommit(kept.commits)
        step = ResolveRepository(
            kept.launches,
            ports.provider,
            know_commit,
            ClaimEnvironment(kept.environments, identify, know_commit, ports.builds, kept.claims),
            kept.quotas,
            self.rule_book.rules,
            self.move_on,
            ports.clock,
            AddressRules(self.settings.allowed_private_hosts).allows_url,
        )
        return Persevere(
            step, Stage.RESOLVING, kept.launches, self.end_launch, self.try_again, ports.clock, self.running_here
        )

    @cached_property
    def start_build(self) -> StartBuild:
        from bindery.usecases.start_build import StartBuild

        kept, seconds = self.state, self.settings.build_seconds
        return StartBuild(
            kept.environments, self.wanted_builds, kept.slots, self.ports.builds, self.record_build, seconds
        )

    @cached_property
    def wanted_builds(self) -> WantedBuilds:
        from bindery.usecases.wanted_builds import WantedBuilds

        return WantedBuilds(self.state.environments, self.state.launches)

    @cached_property
    def free_slots(self) -> FreeSlots:
        from bindery.usecases.free_slots import FreeSlots

        return FreeSlots(self.state.slots, self.state.environments, self.ports.queue)

    @cached_property
    def record_build(self) -> RecordBuild:
        from bindery.usecases.record_build import RecordBuild
        from bindery.usecases.tell_waiters import TellWaiters

        kept, ports = self.state, self.ports
        tell = TellWaiters(kept.environments, kept.launches, ports.queue, self.move_on)
        return RecordBuild(kept.environments, ports.builds, kept.counters, tell, self.free_slots, ports.clock)

    @cached_property
    def record_log(self) -> RecordLog:
        from bindery.usecases.record_log import RecordLog

        return RecordLog(self.state.logs)

    @cached_property
    def start_session(self) -> Persevere[SessionRequested]:
        from bindery.usecases.persevere import Persevere
        from bindery.usecases.start_session import StartSession

        kept, ports = self.state, self.ports
        step = StartSession(
            kept.launches,
            kept.environments,
            kept.sessions,
            ports.launcher,
            ports.queue,
            self.rule_book.rules,
            self.move_on,
            self.try_again,
            ports.clock,
            cull_seconds=self.settings.cull_seconds,
            start_seconds=self.settings.start_seconds,
        )
        return Persevere(
            step, Stage.STARTING, kept.launches, self.end_launch, self.try_again, ports.clock, self.running_here
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

        kept, ports, given = self.state, self.ports, self.settings
        limits = (given.idle_seconds, given.max_age_seconds, given.busy_seconds, given.cull_seconds)
        return CullSessions(kept.sessions, ports.launcher, ports.queue, kept.counters, ports.clock, *limits)

    @cached_property
    def reconcile(self) -> Reconcile:
        from bindery.usecases.evict_images import EvictImages
        from bindery.usecases.reconcile import Reconcile
        from bindery.usecases.recount_places import RecountPlaces
        from bindery.usecases.stop_unwanted import StopUnwanted
        from bindery.usecases.tally_launches import TallyLaunches

        kept, ports = self.state, self.ports
        return Reconcile(
            kept.launches,
            kept.environments,
            kept.sessions,
            kept.slots,
            ports.builds,
            ports.launcher,
            ports.queue,
            self.move_on,
            self.end_launch,
            self.record_build,
            StopUnwanted(kept.environments, self.wanted_builds, ports.builds, ports.clock),
            self.free_slots,
            RecountPlaces(ports.table, kept.quotas),
            EvictImages(kept.environments, ports.builds, self.settings.image_days),
            TallyLaunches(kept.launches, kept.counters, self.popular),
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
        from bindery.bootstrap.front import render_metrics

        return render_metrics(self)

    @cached_property
    def fail_launch(self) -> FailLaunch:
        from bindery.usecases.fail_launch import FailLaunch

        kept = self.state
        return FailLaunch(kept.launches, kept.environments, self.end_launch, self.move_on, self.record_build)

    @cached_property
    def proxies(self) -> Proxies:
        from bindery.web.proxies import Proxies

        warning = blind_to_clients(self.settings)
        if warning and self.settings.queues == "sqs":  # the local runtime says it at its start
            logging.getLogger("bindery").warning(warning)
        return Proxies.of(self.settings.trusted_proxies)

    @cached_property
    def stream(self) -> Stream:
        from bindery.bootstrap.front import stream

        return stream(self)

    @cached_property
    def api(self) -> Api:
        from bindery.bootstrap.front import api

        return api(self)

    @cached_property
    def answer_api(self) -> ApiRoutes:
        from bindery.bootstrap.front import cors
        from bindery.web.api_routes import ApiRoutes

        return ApiRoutes(self.api, lambda: self.site, cors(self.settings), self.proxies)

    @cached_property
    def site(self) -> Site:
        from bindery.bootstrap.front import site

        return site(self)

    @cached_property
    def serve_pages(self) -> SiteRoutes:
        from bindery.web.site_routes import SiteRoutes

        return SiteRoutes(self.site, self.proxies)
