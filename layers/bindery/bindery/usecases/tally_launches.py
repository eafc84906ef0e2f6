"""What /metrics and the log tell of launches that ended: each is counted once, whatever fails, and no click waits for it."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from bindery.domain.errors import Stale
from bindery.domain.launch import Launch, Stage
from bindery.ports.table import Item
from bindery.state.counters import Counters, named, observed
from bindery.state.launches import Launches, counted

logger = logging.getLogger("bindery")
SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_CHANGES = 100
"""In one transaction."""


@dataclass
class _Batch:
    """Launches that are counted together, and what they add."""

    items: list[Item] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
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
                for launch in batch.launches:
                    _tell(launch)

    def _batches(self) -> Iterator[_Batch]:
        batch = _Batch()
        for item, launch in self.launches.uncounted():
            adds = dict(counts_of(launch))
            if len(batch.items) + 1 + len(batch.sums.keys() | adds.keys()) > MOST_CHANGES:
                yield batch
                batch = _Batch()
            batch.items.append(item)
            batch.launches.append(launch)
            batch.sums.update(adds)
        if batch.items:
            yield batch


def counts_of(launch: Launch) -> Iterator[tuple[str, float]]:
    """What one launch adds, by the sum's key: BinderHub's names, and how many got there without trying anything again."""
    ready = launch.stage is Stage.READY
    status = "success" if ready else "failure"
    repo = launch.repo_url if launch.repository else ""
    yield named("binderhub_launch_count", status=status, provider=launch.provider, repo=repo), 1
    retries = str(launch.retries)
    yield from observed("binderhub_launch_time_seconds", _took(launch), SECONDS, status=status, retries=retries)
    if ready:
        yield named("bindery_launches_ready", attempt="first" if launch.at_first_attempt else "later"), 1


def _tell(launch: Launch) -> None:
    """The line that alarms and dashboards count. One who is killed just now leaves it out: it may be told once at most."""
    told = {"launch": launch.id, "provider": launch.provider, "outcome": launch.stage.value, "seconds": _took(launch)}
    reason = {"reason": launch.failure.kind} if launch.failure else {}
    logger.info("launch ended", extra={**told, **reason, "retries": launch.retries})


def _took(launch: Launch) -> float:
    return (launch.ended_at or launch.created_at) - launch.created_at
