"""A deploy in the middle: for a while, functions of two versions of the code run, and those of the next speak another
message.

Every version puts a message's subject (launch, step, ...) at the place where all others look for it. The rest is its
own business.
"""

import json
from dataclasses import dataclass
from random import Random

NAMES = ("launch", "step", "environment", "attempt", "session")


def newer(body: str) -> str:
    """Return the message as the next version sends it."""
    payload = json.loads(body)
    names = {name: payload[name] for name in NAMES if name in payload}
    rest = {name: value for name, value in payload.items() if name not in (*NAMES, "version")}
    return json.dumps({"version": 2, **names, "details": {**rest, "since": "version 2"}})


def understood(body: str) -> str:
    """Return any message as the next version reads it, for the code of today."""
    payload = json.loads(body)
    if payload["version"] == 1:
        return body
    details = payload.pop("details")
    return json.dumps({**payload, **details, "version": 1})


@dataclass(frozen=True)
class Deploy:
    """A deploy. Between `begins` and `ends` a share of the functions is new; afterwards all are, or, rolled back, no
    function is.

    Times are virtual seconds.
    """

    begins: float = float("inf")
    ends: float = float("inf")
    share: float = 0
    rolled_back: bool = False

    @classmethod
    def some(cls, random: Random, earliest: float) -> "Deploy":
        begins = earliest + random.random() * 600
        return cls(begins, begins + random.random() * 900, random.choice((0.1, 0.5, 0.9)), random.random() < 0.5)

    def version(self, now: float, random: Random) -> int:
        """Return the version of a function that starts now."""
        if now < self.begins:
            return 1
        if now < self.ends:
            return 1 + (random.random() < self.share)
        return 1 if self.rolled_back else 2
