"""Build slots: how many attempts are built at one time, and who waits for a turn.

An attempt has one place, a slot or one in line. Where it stands and what stands there change in one transaction, so whoever asks
twice for the same attempt finds its place. All of it is written a few times per attempt, never per visitor.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from bindery.domain.environment import Environment
from bindery.domain.errors import Stale
from bindery.ports.clock import Clock
from bindery.ports.table import Delete, Item, Table
from bindery.state.shards import pages

SLOTS, LINE = "build-slots", "build-line"
CONFLICTS = 12
BEHIND = "1#"


@dataclass(frozen=True)
class Standing:
    """An attempt that has a slot, or waits for one."""

    environment: str
    attempt: int


@dataclass(frozen=True)
class BuildSlots:
    """count: builds at the same time; lowered, it holds when the builds beyond it have ended."""

    table: Table
    clock: Clock
    count: int

    def claim(self, environment: Environment, *, behind: bool) -> bool:
        """Whether its attempt has a slot, from now on or already; else it stands in line, `behind` all who are not. Raises Stale."""
        for _ in range(CONFLICTS):
            place = self._place(environment.key, environment.attempt)
            if place and place.data["pk"] == SLOTS:
                return True
            turn = _turn(environment, behind)
            aim = self._free_slot(turn) or turn
            if place and place.data["sk"] == aim.sk:
                return False
            with suppress(
                Stale
            ):  # whoever came in between, or now stands in line: looks again, as a slot may have become free
                self._move(environment, place, aim)
        raise Stale

    def leave(self, environment: str, attempt: int) -> None:
        """The attempt has ended: its place is free. Again is fine. Raises Stale."""
        for _ in range(CONFLICTS):
            place = self._place(environment, attempt)
            if place is None:
                return
            try:
                self.table.transact([Delete(place), *self._stands_at(place)])
            except Stale:
                continue
            return
        raise Stale

    def waits(self, environment: str, attempt: int) -> bool:
        """Whether the attempt stands in line."""
        return bool(self._turn_of(environment, attempt))

    def is_behind(self, environment: str, attempt: int) -> bool:
        """Whether it does so behind all that somebody waits to open."""
        return self._turn_of(environment, attempt).startswith(BEHIND)

    def before(self, environment: str, attempt: int) -> int | None:
        """How many attempts stand in line before it; None if it does not stand there."""
        turn = self._turn_of(environment, attempt)
        if not turn:
            return None
        count = 0
        for item in pages(self.table, LINE):
            if item.sk >= turn:
                break
            count += 1
        return count

    def first(self) -> list[Standing]:
        """Those in line for whom there is a slot now, in order."""
        free = self.count - len(self._held())
        return [_standing(item) for item in self.table.query(LINE, limit=free)] if free > 0 else []

    def held(self) -> list[Standing]:
        """Attempts that have a slot."""
        return [_standing(item) for item in self._held()]

    def waiting(self) -> int:
        """How many stand in line, for gauges."""
        return sum(1 for _ in pages(self.table, LINE))

    def _place(self, environment: str, attempt: int) -> Item | None:
        return self.table.get(*_key(environment, attempt))

    def _turn_of(self, environment: str, attempt: int) -> str:
        place = self._place(environment, attempt)
        return str(place.data["sk"]) if place and place.data["pk"] == LINE else ""

    def _held(self) -> list[Item]:
        return list(pages(self.table, SLOTS))

    def _free_slot(self, turn: Item) -> Item | None:
        """A slot that is free, and not for those who stand in line before."""
        held = {item.sk for item in self._held()}
        free = self.count - len(held)
        if free <= 0 or sum(item.sk < turn.sk for item in self.table.query(LINE, limit=free)) >= free:
            return None
        numbers = [sk for n in range(self.count) if (sk := f"{n:04d}") not in held]
        return replace(turn, pk=SLOTS, sk=numbers[self.clock.pick(len(numbers))])

    def _move(self, environment: Environment, place: Item | None, aim: Item) -> None:
        """From its place, if it has one. Raises Stale."""
        old = self._stands_at(place) if place else []
        place = place or Item(*_key(environment.key, environment.attempt))
        self.table.transact([place.with_data({"pk": aim.pk, "sk": aim.sk}), aim, *old])

    def _stands_at(self, place: Item) -> list[Delete]:
        item = self.table.get(place.data["pk"], place.data["sk"])
        return [Delete(item)] if item else []


def _turn(environment: Environment, behind: bool) -> Item:
    """By the time of the claim."""
    sk = f"{int(behind)}#{environment.claimed_at:017.6f}#{environment.key}#{environment.attempt}"
    return Item(LINE, sk, {"environment": environment.key, "attempt": environment.attempt})


def _key(environment: str, attempt: int) -> tuple[str, str]:
    return f"build#{environment}#{attempt}", "place"


def _standing(item: Item) -> Standing:
    return Standing(item.data["environment"], item.data["attempt"])
