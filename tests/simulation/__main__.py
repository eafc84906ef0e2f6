"""`python -m tests.simulation SEED [SEED ...]`, or `FIRST-LAST`: lives through seeds, and tells the story of those that fail."""

import sys
import traceback
from collections import Counter
from collections.abc import Iterator

from bindery.domain.launch import Stage
from tests.simulation.functions import Crashed
from tests.simulation.invariants import Broken
from tests.simulation.world import World


def seeds(words: list[str]) -> Iterator[int]:
    for word in words:
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


def main(words: list[str]) -> int:
    count = failures = 0
    faults: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for seed in seeds(words):
        count += 1
        world = World(seed)
        try:
            world.run()
        except Broken as broken:
            failures += 1
            print(f"seed {seed}: {broken.rule} ({broken.about})\n{world.story(broken.about)}\n")
        except (Exception, Crashed):
            failures += 1
            print(f"seed {seed}: crash\n{world.story('')[-3000:]}\n{traceback.format_exc()}")
        faults += world.around.injected
        for launch in world.launches:
            ends[launch.failure.kind if launch.failure else launch.stage.value] += 1
    print(", ".join(f"{name} {n}" for name, n in ends.most_common()))
    print(f"ready {ends[Stage.READY.value]} of {ends.total()}")
    print(f"seeds {count}, launches {ends.total()}, faults {faults.total()}, failures {failures}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
