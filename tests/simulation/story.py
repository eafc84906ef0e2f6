"""What happened, line by line, and how to see it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOOKS = ("get ", "query ")
LINES = 80


@dataclass(frozen=True)
class Told:
    """One line of the story. at: seconds since the beginning."""

    at: float
    task: str
    about: str
    what: str

    def __str__(self) -> str:
        return f"{self.at:9.3f}  {self.task:24} {self.what}"


def story(told: Sequence[Told], about: str, injected: Mapping[str, int], seed: int) -> str:
    """The last lines about a launch or an environment (empty: about everything), without those of people who only look."""
    theirs = [line for line in told if not about or about == line.about or about in line.what]
    acts = [line for line in theirs if not line.task.startswith("visitor") or not line.what.startswith(LOOKS)]
    faults = ", ".join(f"{name} {count}" for name, count in sorted(injected.items())) or "none"
    return "\n".join((*map(str, acts[-LINES:]), f"faults: {faults}", f"again: make simulate FIRST={seed} SEEDS=1"))
