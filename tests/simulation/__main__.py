"""`python -m tests.simulation seeds|until-broken|planted|scale`: the Makefile's `simulate` and its other simulations."""

import argparse
import sys
from collections.abc import Callable

from tests.simulation import scale
from tests.simulation.lives import all_lived, lived, together
from tests.simulation.planted import all_caught


def seeds(arguments: argparse.Namespace) -> int:
    """Live through many seeds. Print their sums, and the stories of those that failed."""
    total = together(all_lived(range(arguments.first, arguments.first + arguments.seeds)))
    print("\n".join(total.lines()))
    return 1 if total.failures else 0


def until_broken(arguments: argparse.Namespace) -> int:
    """Live through seeds in order, up to the first that breaks a rule."""
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        for story in lived(seed).failures.values():
            print(story)
            return 1
    return 0


def planted(_: argparse.Namespace) -> int:
    """Try every planted bug."""
    results = []
    for each in all_caught():
        print(each, flush=True)
        results.append(each)
    right = sum(each.seed is not None for each in results)
    print(f"planted bugs caught: {right} of {len(results)}")
    return 0 if right == len(results) else 1


def measured(_: argparse.Namespace) -> int:
    """Measure crowds and print the counts."""
    for line in scale.lines():
        print(line, flush=True)
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "seeds": seeds,
    "until-broken": until_broken,
    "planted": planted,
    "scale": measured,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1000)
    arguments = parser.parse_args()
    return COMMANDS[arguments.command](arguments)


if __name__ == "__main__":
    sys.exit(main())
