"""The story of a seed, line by line, and the command that shows it again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

LOOKS = ("get ", "query ")
LINES = 80


class Entry(NamedTuple):
    """A line of the story.

    at: seconds since the beginning.
    """

    at: float
    task: str
    about: str
    what: str

    def __str__(self) -> str:
        return f"{self.at:9.3f}  {self.task:24} {self.what}"


def story(lines: Sequence[Entry], about: str, injected: Mapping[str, int], seed: int) -> str:
    """Return the last lines about a launch or an environment, without those of people that only look.

    about: empty for all lines.
    """
    matching = [line for line in lines if not about or about == line.about or about in line.what]
    acts = [line for line in matching if not line.task.startswith("visitor") or not line.what.startswith(LOOKS)]
    faults = ", ".join(f"{name} {count}" for name, count in sorted(injected.items())) or "none"
    return "\n".join((*map(str, acts[-LINES:]), f"faults: {faults}", f"again: make simulate FIRST={seed} SEEDS=1"))
