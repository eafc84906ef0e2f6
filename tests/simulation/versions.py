"""A deploy in the middle: for a while, functions of two versions of the code run, and those of the next speak another message.

Every version names what a message is about (launch, step, ...) where all others look for it; the rest is its own business.
"""

import json
from dataclasses import dataclass
from random import Random

NAMES = ("launch", "step", "environment", "attempt", "session")


def newer(body: str) -> str:
    """The message as the next version sends it."""
    told = json.loads(body)
    names = {name: told[name] for name in NAMES if name in told}
    rest = {name: value for name, value in told.items() if name not in (*NAMES, "version")}
    return json.dumps({"version": 2, **names, "details": {**rest, "since": "version 2"}})


def understood(body: str) -> str:
    """Any message as the next version reads it, for the code of today."""
    told = json.loads(body)
    if told["version"] == 1:
        return body
    details = told.pop("details")
    return json.dumps({**told, **details, "version": 1})


@dataclass(frozen=True)
class Deploy:
    """Between `begins` and `ends` a share of the functions is new; afterwards all are, or, rolled back, none. Virtual seconds."""

    begins: float = float("inf")
    ends: float = float("inf")
    share: float = 0
    rolled_back: bool = False

    @classmethod
    def some(cls, random: Random, earliest: float) -> "Deploy":
        begins = earliest + random.random() * 600
        return cls(begins, begins + random.random() * 900, random.choice((0.1, 0.5, 0.9)), random.random() < 0.5)

    def version(self, now: float, random: Random) -> int:
        """Of a function that starts now."""
        if now < self.begins:
            return 1
        if now < self.ends:
            return 1 + (random.random() < self.share)
        return 1 if self.rolled_back else 2
