"""What meets requests, put together on a system's use cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bindery.bootstrap.system import System
    from bindery.settings import Settings
    from bindery.state.counters import Labels
    from bindery.usecases.render_metrics import RenderMetrics
    from bindery.web.api import Api
    from bindery.web.cors import Cors
    from bindery.web.site import Site
    from bindery.web.stream import Stream


def cors(settings: Settings) -> Cors:
    from bindery.web.cors import Cors

    return Cors(settings.allow_origin, settings.reading_origins)


def stream(system: System) -> Stream:
    from bindery.web.stream import Stream

    given = system.settings
    return Stream(
        system.open_launch,
        system.follow_launch,
        system.tokens,
        given.public_url,
        cors(given),
        given.stream_seconds,
        system.ports.word,
        given.page_stream_seconds,
        system.state.shares.close,
        system.proxies,
    )


def api(system: System) -> Api:
    from bindery.usecases.detect_address import DetectAddress
    from bindery.web.api import Api

    given = system.settings
    detect = DetectAddress(system.ports.providers)
    return Api(system.open_launch, system.follow_launch, system.stop_launch, detect, system.tokens, given.public_url)


def site(system: System) -> Site:
    from bindery.web.site import Site

    kept, ports = system.state, system.ports
    return Site(
        ports.providers,
        ports.provider,
        lambda: ports.doi_directory,
        kept.shares.count,
        kept.launches.find,
        system.tokens,
        system.rule_book.rules,
        ports.clock,
        system.settings.public_url,
        system.settings.launch_title,
        isolated=ports.isolated,
        is_confirmed=system.confirmed.has,
        checks={"Table": lambda: ports.table.get("health", "health"), "Builder": lambda: ports.builds.name},
        builder=lambda: ports.builds.name,
        metrics_access=system.metrics_access,
        metrics_text=system.metrics_text.get,
    )


def render_metrics(system: System) -> RenderMetrics:
    from bindery.usecases.render_metrics import RenderMetrics

    def render(sums: Mapping[str, Mapping[Labels, float]], gauges: Mapping[str, float]) -> str:
        from bindery.web.metrics import exposition  # loads Prometheus' client: no start waits for it

        return exposition(sums, gauges)

    kept = system.state
    gauges = {
        "binderhub_inprogress_builds": kept.environments.building,
        "binderhub_inprogress_launches": lambda: sum(1 for _ in kept.launches.unended()),
        "bindery_build_slots_in_use": lambda: len(kept.slots.held()),
        "bindery_builds_waiting": kept.slots.waiting,
        "bindery_sessions": kept.quotas.taken,
    }
    return RenderMetrics(kept.counters, system.popular, system.metrics_text, gauges, render, system.ports.clock)
