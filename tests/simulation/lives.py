"""The result of seeds: counts to add up, and the story if a rule was broken."""

import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import reduce

from bindery.domain.launch import Stage
from tests.simulation.broken import Broken
from tests.simulation.functions import Crashed
from tests.simulation.world import World

CHUNK = 20
CRASH = "the code raised what is no fact of ours"


@dataclass
class Lives:
    """The counts of one life or many.

    ends: launches by their end. ready: at the first attempt, or later. failures: stories, by seed.
    """

    seeds: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    ready: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def launches(self) -> int:
        return self.ends.total()

    def and_(self, other: "Lives") -> "Lives":
        return Lives(
            self.seeds + other.seeds,
            self.ends + other.ends,
            self.ready + other.ready,
            self.faults + other.faults,
            self.failures | other.failures,
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines that `make simulate` prints. The last one has an agreed form."""
        yield from self.failures.values()
        yield "faults: " + ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        yield "launches: " + ", ".join(f"{name} {count}" for name, count in self.ends.most_common())
        yield f"ready: {self.ready.total()} of {self.launches}, at the first attempt {self.ready['first']}"
        yield (
            f"seeds {self.seeds}, launches {self.launches}, faults {self.faults.total()}, failures {len(self.failures)}"
        )


def lived(seed: int) -> Lives:
    """Live through the whole life of a seed."""
    world, failures = World(seed), {}
    try:
        world.run()
    except Broken as broken:
        failures[seed] = f"seed {seed}: {broken.rule} ({broken.about})\n{world.story(broken.about)}\n"
    except (Exception, Crashed):  # noqa: BLE001  # a bug in one seed must not hide those in others
        failures[seed] = f"seed {seed}: {CRASH}\n{world.story('')}\n{traceback.format_exc()}"
    ends = Counter(launch.failure.kind if launch.failure else launch.stage.value for launch in world.launches)
    ready = [launch for launch in world.launches if launch.stage is Stage.READY]
    attempts = Counter("first" if launch.at_first_attempt else "later" for launch in ready)
    return Lives(1, ends, attempts, world.around.injected, failures)


def all_lived(seeds: Iterable[int]) -> Iterator[Lives]:
    """Yield lives in the order of their seeds, from all cores."""
    with ProcessPoolExecutor() as pool:
        yield from pool.map(lived, seeds, chunksize=CHUNK)


def together(lives: Iterable[Lives]) -> Lives:
    return reduce(Lives.and_, lives, Lives())
