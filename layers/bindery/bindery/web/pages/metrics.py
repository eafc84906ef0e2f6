"""`/metrics` in Prometheus' text format, from the sums in the table. The names are BinderHub's."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bindery.state.counters import Labels
from bindery.web.errors.text import encodable

Sums = Mapping[str, Mapping[Labels, float]]

INFINITY = float("inf")
HELP: Mapping[str, str] = MappingProxyType(
    {
        "binderhub_build_count": "Builds that ended",
        "binderhub_build_time_seconds": "How long builds took",
        "binderhub_launch_count": "Launches that ended",
        "bindery_build_slots_in_use": "Builds that have a slot",
        "bindery_builds_waiting": "Builds that wait for a slot",
        "bindery_launches_ready": "Launches that became ready: at the first attempt, or only after something was tried again",
        "binderhub_launch_time_seconds": "How long launches took, from the click to ready or failed",
    }
)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def exposition(sums: Sums, gauges: Mapping[str, float]) -> str:
    """Return the text. sums: as returned by `Counters.read`; `<name>_bucket` and `<name>_sum` together are one histogram.

    Equal state gives equal text.
    """
    registry = CollectorRegistry()
    registry.register(_Sums(sums, gauges))
    return generate_latest(registry).decode()


@dataclass(frozen=True, eq=False)
class _Sums(Collector):
    sums: Sums
    gauges: Mapping[str, float]

    def collect(self) -> Iterator[Metric]:
        histograms = {name.removesuffix("_bucket") for name in self.sums if name.endswith("_bucket")}
        parts = {f"{name}{part}" for name in histograms for part in ("_bucket", "_sum")}
        for name in sorted({*self.sums, *histograms} - parts):
            yield self._histogram(name) if name in histograms else self._counter(name)
        for name, value in sorted(self.gauges.items()):
            gauge = Metric(name, HELP.get(name, name), "gauge")
            gauge.add_sample(name, {}, value)
            yield gauge

    def _counter(self, name: str) -> Metric:
        counter = Metric(name, HELP.get(name, name), "counter")
        for labels, total in sorted(_clean(self.sums[name]).items()):
            counter.add_sample(f"{counter.name}_total", dict(labels), total)
        return counter

    def _histogram(self, name: str) -> Metric:
        """Return a histogram. A stored bucket holds only its own count; a bucket of Prometheus includes the counts below it."""
        histogram = Metric(name, HELP.get(name, name), "histogram")
        series = _series(self.sums[f"{name}_bucket"])
        bounds = sorted({bound for buckets in series.values() for bound in buckets} | {INFINITY})
        totals = _clean(self.sums.get(f"{name}_sum", {}))
        for labels, buckets in sorted(series.items()):
            below = 0.0
            for bound in bounds:
                below += buckets.get(bound, 0)
                histogram.add_sample(f"{name}_bucket", {"le": _bound(bound), **dict(labels)}, below)
            histogram.add_sample(f"{name}_count", dict(labels), below)
            histogram.add_sample(f"{name}_sum", dict(labels), totals.get(labels, 0.0))
        return histogram


def _series(buckets: Mapping[Labels, float]) -> dict[Labels, dict[float, float]]:
    """Return counts by bound, for each set of the other labels."""
    series: dict[Labels, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for labels, count in _clean(buckets).items():
        try:
            bound = float(dict(labels)["le"])
        except (KeyError, ValueError):
            continue
        series[tuple((name, value) for name, value in labels if name != "le")][bound] += count
    return series


def _bound(bound: float) -> str:
    return "+Inf" if bound == INFINITY else repr(bound)


def _clean(sums: Mapping[Labels, float]) -> dict[Labels, float]:
    """Return the sums with labels in one order, with names that Prometheus accepts and values that can be encoded."""
    cleaned: dict[Labels, float] = defaultdict(float)
    for labels, total in sums.items():
        cleaned_labels = tuple(sorted((name, encodable(value)) for name, value in labels if _LABEL.fullmatch(name)))
        cleaned[cleaned_labels] += total
    return cleaned
