"""Thousands of launches at the same time, counted: the calls of table and queues for one launch, and the waits for
other launches.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from bindery.domain.builds import BuildOrder
from bindery.domain.launch import Launch, Stage
from tests.simulation.faults import Faults
from tests.simulation.world import World

CALL_SECONDS = 0.002
WATCHERS = ("visitor",)
TIMERS = ("reconcile", "cull_sessions")


@dataclass(frozen=True)
class Visit:
    """A visitor's click on a link.

    at: virtual seconds.
    """

    at: float
    spec: str


@dataclass(frozen=True)
class Measured:
    """The measured numbers.

    calls: of table and queues, by their function. hottest: the most written key, and its number of writes.
    """

    launches: list[Launch]
    builds: int
    calls: Counter[str]
    sends: int
    hottest: tuple[str, int]

    def per_launch(self, *whose: str) -> float:
        """Return the calls of the table by these functions, or by every function of the launch's way if no function
        is named.
        """
        functions = whose or tuple(self.calls.keys() - {*WATCHERS, *TIMERS})
        return sum(self.calls[each] for each in functions) / len(self.launches)

    @property
    def ready(self) -> list[Launch]:
        return [launch for launch in self.launches if launch.stage is Stage.READY]

    def __str__(self) -> str:
        return (
            f"{len(self.launches):6} launches, {len(self.ready)} ready, {self.builds} builds; a launch: "
            f"{self.per_launch():.1f} calls of the table on its way, {self.per_launch(*TIMERS):.1f} by timers, "
            f"{self.sends / len(self.launches):.1f} messages; hottest key: {self.hottest[0]}, {self.hottest[1]} writes"
        )


def lived(visits: Sequence[Visit], build_seconds: Callable[[BuildOrder], float]) -> Measured:
    """Live through the whole life of a world without faults, with these visits."""
    world = World(1, visitors=len(visits), faults=Faults(), quota=2 * len(visits), slots=SLOTS, quiet=True)
    around = world.around
    around.latency, around.sluggish = CALL_SECONDS, []
    world.builds.seconds = build_seconds
    world.late_comers.clear()
    for number, (visitor, visit) in enumerate(zip(world.visitors, visits, strict=True)):
        visitor.spec, visitor.build_only, visitor.attentive = visit.spec, False, 30
        visitor.address = f"2001:db8:{number:x}::1"
        around.later(visit.at, partial(world.arrive, visitor))
    world.visitors.clear()
    world.run(troubled=visits[-1].at + 3600)
    calls: Counter[str] = Counter()
    for (whose, _), count in world.table.operations.items():
        calls[whose] += count
    ((pk, sk), writes), *_ = world.table.writes.most_common(1)
    return Measured(
        world.launches, len(world.builds.started), calls, world.queues.sends.total(), (f"{pk} {sk}", writes)
    )


def crowd(count: int) -> list[Visit]:
    """Return visits of a crowd. All want the same commit, which was never built, within ten seconds."""
    random = Random(count)
    return sorted((Visit(random.random() * 10, "o/popular/HEAD") for _ in range(count)), key=lambda visit: visit.at)


def mybinder(count: int, repositories: int, seconds: float) -> list[Visit]:
    """Return visits with the popularity of mybinder.org: the first repository has 26 % of the launches, the first 25
    have 69 %.
    """
    random = Random(count)
    ranks = range(1, repositories)
    weights = [0.26, *(0.43 / rank for rank in ranks[:24]), *(0.31 for _ in ranks[24:])]
    head, tail = sum(weights[1:25]), sum(weights[25:])
    weights = [0.26, *(0.43 * weight / head for weight in weights[1:25]), *(0.31 * w / tail for w in weights[25:])]
    names = random.choices(range(repositories), weights, k=count)
    times = sorted(random.random() * seconds for _ in range(count))
    return [Visit(at, f"o/r{name}/HEAD") for at, name in zip(times, names, strict=True)]


def waits(launches: Sequence[Launch]) -> list[float]:
    """Return the seconds from the click to ready, in order."""
    return sorted((launch.ended_at or 0) - launch.created_at for launch in launches)


SIZES = (10, 100, 1_000, 10_000)
REPOSITORIES, LAUNCHES, SECONDS = 2_000, 10_000, 3600.0
BUILD_SECONDS, SLOW_BUILD_SECONDS, SLOTS = 8.0, 500.0, 10
POPULAR = "o/r0/HEAD"


def one_commit(count: int) -> Measured:
    """Measure a crowd that wants a commit that was never built."""
    return lived(crowd(count), lambda _order: 60)


def popular(slow: float) -> Measured:
    """Measure mybinder's popularity with ten build slots. Builds of the most popular repository take `slow` seconds."""

    def seconds(order: BuildOrder) -> float:
        return slow if order.repository.spec == POPULAR else BUILD_SECONDS

    return lived(mybinder(LAUNCHES, REPOSITORIES, SECONDS), seconds)


def of_others(measured: Measured) -> list[float]:
    """Return the waits of all launches outside of the most popular repository."""
    return waits([launch for launch in measured.ready if launch.spec != POPULAR])


def lines() -> Iterator[str]:
    """Yield the lines that `make simulate-scale` prints."""
    for count in SIZES:
        yield str(one_commit(count))
    for slow in (BUILD_SECONDS, SLOW_BUILD_SECONDS):
        measured = popular(slow)
        others = of_others(measured)
        yield f"{measured}"
        yield (
            f"       the most popular repository builds for {slow:g} s: the others wait {others[len(others) // 2]:.1f} s, "
            f"one in twenty {others[len(others) * 95 // 100]:.1f} s, nobody more than {others[-1]:.1f} s"
        )
