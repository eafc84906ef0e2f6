"""The order in which builds get their slots: in turns between clients, and between owners of repositories.

Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queuing", 1996), with one build as the unit of work. Each build
gets the number of a round when it is claimed: the present round, or a later one if builds of its client or owner have been given
that round already. Earlier rounds are built first, and within a round earlier claims.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bindery.ports.table import Item

ROUND_FORMAT = "014.4f"
"""As a part of a sort key: rounds in order of their text."""


@dataclass(frozen=True)
class FairOrder:
    """slots: builds at the same time. per_client, per_owner: builds of each in one round; None: first come, first served.

    Beyond that number of running builds a client, or an owner, gets no slot that is the last free one: with two slots or more
    there is always one that a single client cannot hold. A build without a client is exempt. An owner: the name of its share.
    """

    slots: int
    per_client: int | None = None
    per_owner: int | None = None

    def limits(self, whose: Mapping[str, str]) -> dict[str, int]:
        """Return builds per round by the keys of those that a build counts for. whose: its client and its owner."""
        limits = (("client", self.per_client), ("owner", self.per_owner)) if whose["client"] else ()
        return {f"{name}#{whose[name]}": limit for name, limit in limits if limit}

    def admitted(self, line: Iterable[Item], held: Sequence[Item]) -> Iterator[Item]:
        """Return those in line for whom there is a slot now. line: in order. held: builds that have a slot."""
        running: Counter[str] = Counter(key for item in held for key in self.limits(whose(item)))
        free = self.slots - len(held)
        for item in line:
            if free <= 0:
                return
            limits = self.limits(whose(item))
            over = any(running[key] >= limit for key, limit in limits.items())
            if over and free == 1 and self.slots > 1:
                continue
            yield item
            free -= 1
            running.update(limits.keys())


def whose(item: Item) -> dict[str, str]:
    """The client's key, empty if it is exempt, and the repository's owner."""
    return {name: str(item.data.get(name, "")) for name in ("client", "owner")}


def round_of(sk: str) -> float:
    """The number in a key of the line or of a slot's record."""
    return float(sk.split("#")[1])
