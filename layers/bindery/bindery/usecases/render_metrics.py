"""Render /metrics from the table's sums and from what is counted now, for the requests of the next minute."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bindery.ports.clock import Clock
from bindery.state.counters import Counters, Labels
from bindery.state.metrics_text import MetricsText
from bindery.state.popular import Popular

Sums = Mapping[str, Mapping[Labels, float]]


@dataclass(frozen=True)
class RenderMetrics:
    """gauges: by name, what counts it now. render: makes Prometheus' text of sums and gauges."""

    counters: Counters
    popular: Popular
    text: MetricsText
    gauges: Mapping[str, Callable[[], float]]
    render: Callable[[Sums, Mapping[str, float]], str]
    clock: Clock

    def __call__(self) -> None:
        """Raises Throttled. The text before stays then."""
        at = self.clock.now()
        sums = {name: dict(found) for name, found in self.counters.read().items()}
        for name, rows in self.popular.today().sums().items():
            sums.setdefault(name, {}).update(rows)
        self.text.put(self.render(sums, {name: count() for name, count in self.gauges.items()}), at)
