"""What /metrics tells of launches that ended: each is counted once, whatever fails, and no click waits for it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from bindery.domain.errors import Stale
from bindery.domain.launch import Launch, Stage
from bindery.ports.table import Item
from bindery.state.counters import Counters, named, observed
from bindery.state.launches import Launches, counted

SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_CHANGES = 100
"""In one transaction."""


@dataclass
class _Batch:
    """Launches that are counted together, and what they add."""

    items: list[Item] = field(default_factory=list)
    sums: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class TallyLaunches:
    """The sums change in one transaction with what marks the launches as counted; who comes second finds nothing to count."""

    launches: Launches
    counters: Counters

    def __call__(self) -> None:
        for batch in self._batches():
            with suppress(Stale):  # another sweep was here; what it left comes next time
                counters = self.counters.with_more(batch.sums)
                self.counters.table.transact([*map(counted, batch.items), *counters])

    def _batches(self) -> Iterator[_Batch]:
        batch = _Batch()
        for item, launch in self.launches.uncounted():
            adds = dict(counts_of(launch))
            if len(batch.items) + 1 + len(batch.sums.keys() | adds.keys()) > MOST_CHANGES:
                yield batch
                batch = _Batch()
            batch.items.append(item)
            batch.sums.update(adds)
        if batch.items:
            yield batch


def counts_of(launch: Launch) -> Iterator[tuple[str, float]]:
    """What one launch adds, by the sum's key: BinderHub's names, and how many got there without trying anything again."""
    ready = launch.stage is Stage.READY
    status = "success" if ready else "failure"
    repo = launch.repo_url if launch.repository else ""
    yield named("binderhub_launch_count", status=status, provider=launch.provider, repo=repo), 1
    took = (launch.ended_at or launch.created_at) - launch.created_at
    yield from observed("binderhub_launch_time_seconds", took, SECONDS, status=status, retries=str(launch.retries))
    if ready:
        yield named("bindery_launches_ready", attempt="first" if launch.at_first_attempt else "later"), 1
