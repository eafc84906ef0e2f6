"""Order of builds in the queue: clients take turns, and owners of repositories take turns.

Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queuing", 1996), with one build as the unit of work. Each build
gets the number of a round when it is claimed: the current round, or a later one if builds of its client or owner already have
that round. Builds of earlier rounds are first, and within a round, earlier claims are first.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bindery.ports.table import Item

ROUND_FORMAT = "014.4f"
"""Format of rounds in a sort key: the order of the texts is the order of the numbers."""


@dataclass(frozen=True)
class FairOrder:
    """Fair order of builds.

    slots: number of concurrent builds. per_client, per_owner: builds of each in one round; None: first come, first served.
    A client or an owner with that number of running builds does not get the last free slot. With two slots or more, a single client
    cannot hold all of them. A build without a client is exempt. Owners are identified by the names of their shares.
    """

    slots: int
    per_client: int | None = None
    per_owner: int | None = None

    def limits(self, names: Mapping[str, str]) -> dict[str, int]:
        """Return the builds per round for the client and the owner that a build counts for. names: its client and its owner."""
        limits = (("client", self.per_client), ("owner", self.per_owner)) if names["client"] else ()
        return {f"{name}#{names[name]}": limit for name, limit in limits if limit}

    def admitted(self, line: Iterable[Item], held: Sequence[Item]) -> Iterator[Item]:
        """Yield the queued builds that can get a slot now. line: the queue, in order. held: the builds that have a slot."""
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
    """Return the client's key (empty if it is exempt) and the repository's owner."""
    return {name: str(item.data.get(name, "")) for name in ("client", "owner")}


def round_of(sk: str) -> float:
    """Return the number of the round in a sort key of the queue."""
    return float(sk.split("#")[1])
