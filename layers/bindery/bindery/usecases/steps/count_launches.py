"""Count ended launches for /metrics and the log. Each launch is counted once, even after errors, and no request waits for the count."""

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
from bindery.state.popular import OTHER, Day, Popular

logger = logging.getLogger("bindery")
LAUNCHES = "binderhub_launch_count"
SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_CHANGES = 100
"""Changes in one transaction."""


@dataclass
class _Batch:
    """Launches that are counted together, and their sums. day: the day's most launched repositories."""

    day: Day
    items: list[Item] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    sums: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class CountLaunches:
    """Counter of ended launches.

    The sums and the marks of counted launches change in one transaction, so a second sweep finds no launch to count.
    """

    launches: Launches
    counters: Counters
    popular: Popular

    def __call__(self) -> None:
        for batch in self._batches():
            with suppress(Stale):  # another sweep was faster; its leftovers are counted next time
                counters = self.counters.with_more(batch.sums)
                self.counters.table.transact([*map(counted, batch.items), *counters, batch.day.item])
                for launch in batch.launches:
                    _tell(launch)

    def _batches(self) -> Iterator[_Batch]:
        batch: _Batch | None = None
        for item, launch in self.launches.uncounted():
            adds = dict(counts_of(launch))
            # The launch and the day are two more changes.
            if batch and len(batch.items) + 2 + len(batch.sums.keys() | adds.keys()) > MOST_CHANGES:
                yield batch
                batch = None
            batch = batch or _Batch(self.popular.today())
            if _is_named(launch, batch.day):
                del adds[_unnamed(launch)]
            batch.items.append(item)
            batch.launches.append(launch)
            batch.sums.update(adds)
        if batch:
            yield batch


def counts_of(launch: Launch) -> Iterator[tuple[str, float]]:
    """Return the sums that one launch adds, by key: BinderHub's names, and the number of launches that became ready without a retry."""
    ready, status = launch.stage is Stage.READY, _status(launch)
    yield _unnamed(launch), 1
    retries = str(launch.retries)
    yield from observed("binderhub_launch_time_seconds", _took(launch), SECONDS, status=status, retries=retries)
    if ready:
        yield named("bindery_launches_ready", attempt="first" if launch.at_first_attempt else "later"), 1


def _unnamed(launch: Launch) -> str:
    """Return the key of the sum that counts the launch if its repository is not named."""
    return named(LAUNCHES, status=_status(launch), provider=launch.provider, repo=OTHER)


def _is_named(launch: Launch, day: Day) -> bool:
    """Return True if the launch was counted under its repository's name: a public repository with many launches today."""
    if launch.repository is None or launch.repository.private:
        return False
    return day.count(launch.repo_url, LAUNCHES, status=_status(launch), provider=launch.provider)


def _status(launch: Launch) -> str:
    return "success" if launch.stage is Stage.READY else "failure"


def _tell(launch: Launch) -> None:
    """Write the log line that alarms and dashboards count. A process that is killed now leaves it out: it is written at most once."""
    fields = {"launch": launch.id, "provider": launch.provider, "outcome": launch.stage.value, "seconds": _took(launch)}
    reason = {"reason": launch.failure.kind} if launch.failure else {}
    logger.info("launch ended", extra={**fields, **reason, "retries": launch.retries})


def _took(launch: Launch) -> float:
    return (launch.ended_at or launch.created_at) - launch.created_at
