"""Holders of build slots and attempts in line, as the table's writes tell it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bindery.ports.table import Delete, Item
from bindery.state.build_slots import LINE, SLOTS
from tests.simulation.around import Around
from tests.simulation.broken import Broken


@dataclass(frozen=True)
class Limits:
    """The limits of builds and sessions.

    slots: builds at one time. Of one client and of one owner: builds that may have the last slot, builds in line,
    sessions.
    """

    slots: int
    client: int | None = None
    client_in_line: int | None = None
    owner: int | None = None
    owner_in_line: int | None = None
    client_sessions: int | None = None

    @property
    def shares(self) -> tuple[tuple[str, int | None, int | None], ...]:
        """Return for each kind of owner the builds that may run while the last slot is free, and the attempts that
        may be in line.
        """
        return ("client", self.client, self.client_in_line), ("owner", self.owner, self.owner_in_line)


def _whose(item: Item, name: str) -> str:
    """Return a build's client or owner. The text is empty if it has no client and is exempt."""
    return str(item.data.get(name, "")) if item.data.get("client") else ""


@dataclass
class Turns:
    """The slots and the line.

    limits: the number of slots, and the number that each may have. came: called when an attempt becomes first in line
    beside a free slot.
    is_making: True for an attempt that is still to be made. held, line: their items. held_since: by slot. left: the
    time when an attempt left either.
    first_since: the time since the first one has been first beside a free slot.
    """

    limits: Limits
    around: Around
    came: Callable[[], None]
    is_making: Callable[[str, int], bool] = lambda environment, attempt: True
    held: dict[str, Item] = field(default_factory=dict)
    line: dict[str, Item] = field(default_factory=dict)
    held_since: dict[str, float] = field(default_factory=dict)
    left: dict[tuple[str, int], float] = field(default_factory=dict)
    first_since: dict[str, float] = field(default_factory=dict)

    def wrote(self, change: Item | Delete) -> None:
        """Take note of a write that has just been made."""
        item = change.item if isinstance(change, Delete) else change
        if item.pk not in (SLOTS, LINE):
            return
        places = self.held if item.pk == SLOTS else self.line
        if item.pk == SLOTS:
            self.held_since[item.sk] = self.around.now
        if isinstance(change, Item):
            places[item.sk] = item
        else:
            places.pop(item.sk, None)
            self.left[item.data["environment"], item.data["attempt"]] = self.around.now
        self._check_shares()
        self._note_first()

    def _check_shares(self) -> None:
        """Check the shares of clients and owners.

        No client or owner holds all slots if there are more than it may have. Neither has more in line than it may
        have.
        """
        for name, most, in_line in self.limits.shares:
            held, waiting = (self._counted(name, places) for places in (self.held, self.line))
            for key in (held + waiting).keys() - {""}:
                if most is not None and self.limits.slots > max(1, most) and held[key] >= self.limits.slots:
                    raise Broken(f"one {name} holds all {held[key]} slots", key)
                if in_line is not None and waiting[key] > in_line:
                    raise Broken(f"{waiting[key]} builds of one {name} are in line", key)

    def _counted(self, name: str, places: Mapping[str, Item]) -> Counter[str]:
        """Return the attempts by client, or by owner.

        An attempt that is moved is in two places for a moment; one that has ended leaves soon.
        """
        attempts = {(item.data["environment"], item.data["attempt"]): _whose(item, name) for item in places.values()}
        return Counter(key for attempt, key in attempts.items() if self.is_making(*attempt))

    def _may_have_the_last(self, item: Item) -> bool:
        shares = ((name, most) for name, most, _ in self.limits.shares if most is not None and _whose(item, name))
        return all(
            sum(_whose(held, name) == _whose(item, name) for held in self.held.values()) < most for name, most in shares
        )

    def _note_first(self) -> None:
        """Take note of the time since the first in line has been so beside a free slot that is not kept for others."""
        free = self.limits.slots - len(self.held)
        last = free == 1 and self.limits.slots > 1
        may = [sk for sk, item in self.line.items() if not last or self._may_have_the_last(item)]
        first = min(may, default="") if free > 0 else ""
        since = self.first_since.get(first)
        self.first_since = {first: since or self.around.now} if first else {}
        if first and since is None:
            self.came()

    def held_for_long(self, since: float) -> list[tuple[str, int]]:
        """Return the attempts that have had a slot since then."""
        long = [item for sk, item in self.held.items() if self.held_since[sk] < since]
        return [(item.data["environment"], item.data["attempt"]) for item in long]

    def passed_over(self, since: float) -> tuple[str, int] | None:
        """Return the attempt that has been first in line since then although a slot was free."""
        for sk, at in self.first_since.items():
            if at < since:
                return self.line[sk].data["environment"], self.line[sk].data["attempt"]
        return None

    def was_in_line(self, environment: str, attempt: int, since: float) -> bool:
        """Return True if the attempt stands in line, or left it since."""
        attempt_key = (environment, attempt)
        stands = any((item.data["environment"], item.data["attempt"]) == attempt_key for item in self.line.values())
        return stands or self.left.get(attempt_key, 0) >= since
