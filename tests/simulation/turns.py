"""Who has a build slot and who stands in line, as the table's writes tell it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bindery.ports.table import Delete, Item
from bindery.state.build_slots import LINE, SLOTS
from tests.simulation.around import Around


@dataclass
class Turns:
    """slots: how many there are. came: told when somebody becomes first in line beside a free slot.

    held, line: what stands there. held_since: by slot. left: when an attempt left either. first_since: when whoever is first became so
    beside a free slot.
    """

    slots: int
    around: Around
    came: Callable[[], None]
    held: dict[str, Item] = field(default_factory=dict)
    line: dict[str, Item] = field(default_factory=dict)
    held_since: dict[str, float] = field(default_factory=dict)
    left: dict[tuple[str, int], float] = field(default_factory=dict)
    first_since: dict[str, float] = field(default_factory=dict)

    def wrote(self, change: Item | Delete) -> None:
        """A write has just been made."""
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
        self._note_first()

    def _note_first(self) -> None:
        """Since when whoever is first in line has been so beside a free slot."""
        first = min(self.line, default="") if len(self.held) < self.slots else ""
        known = self.first_since.get(first)
        self.first_since = {first: known or self.around.now} if first else {}
        if first and known is None:
            self.came()

    def held_for_long(self, since: float) -> list[tuple[str, int]]:
        """Attempts that have had a slot since then."""
        long = [item for sk, item in self.held.items() if self.held_since[sk] < since]
        return [(item.data["environment"], item.data["attempt"]) for item in long]

    def passed_over(self, since: float) -> tuple[str, int] | None:
        """Whoever has been first in line since then although a slot was free."""
        for sk, at in self.first_since.items():
            if at < since:
                return self.line[sk].data["environment"], self.line[sk].data["attempt"]
        return None

    def was_in_line(self, environment: str, attempt: int, since: float) -> bool:
        """Whether the attempt stands in line, or left it since."""
        wanted = (environment, attempt)
        stands = any((item.data["environment"], item.data["attempt"]) == wanted for item in self.line.values())
        return stands or self.left.get(wanted, 0) >= since
