"""Render /metrics from the table's sums and the current gauges, for the requests of the next minute."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bindery.ports.clock import Clock
from bindery.state.counters import Counters, Labels
from bindery.state.metrics_text import MetricsText
from bindery.state.popular import Popular

Sums = Mapping[str, Mapping[Labels, float]]


@dataclass(frozen=True)
class RenderMetrics:
    """Renderer of /metrics.

    gauges: by name, the function that counts the current value. render: returns Prometheus' text of sums and gauges.
    """

    counters: Counters
    popular: Popular
    text: MetricsText
    gauges: Mapping[str, Callable[[], float]]
    render: Callable[[Sums, Mapping[str, float]], str]
    clock: Clock

    def __call__(self) -> None:
        """Write the text of /metrics. Raises Throttled; the previous text stays then."""
        at = self.clock.now()
        sums = {name: dict(rows_by_labels) for name, rows_by_labels in self.counters.read().items()}
        for name, rows in self.popular.today().sums().items():
            sums.setdefault(name, {}).update(rows)
        self.text.put(self.render(sums, {name: count() for name, count in self.gauges.items()}), at)
