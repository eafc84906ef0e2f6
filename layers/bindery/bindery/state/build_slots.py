"""Build slots limit the number of concurrent builds; the other attempts wait in a queue.

An attempt has one place: a slot or a position in the queue. The attempt's record and the item of its place change in one transaction,
so a repeated claim for the same attempt finds its place. These items are written a few times per attempt, never per visitor.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from bindery.domain.environment import Environment
from bindery.domain.errors import Stale
from bindery.domain.owners import build_share_of
from bindery.ports.clock import Clock
from bindery.ports.table import Delete, Item, Table
from bindery.state.due_index import pages
from bindery.state.fair_order import ROUND_FORMAT, FairOrder, round_of, whose

SLOTS, LINE = "build-slots", "build-line"
CONFLICTS = 12
ROUND = ("build-round", "round")
ROUNDS_SECONDS = 7 * 86400
"""Time that a client's round is stored after its last build. Afterwards the client starts with the current round."""
BEHIND = "1#"


@dataclass(frozen=True)
class Standing:
    """Attempt that has a slot, or waits for one."""

    environment: str
    attempt: int


@dataclass(frozen=True)
class BuildSlots:
    """Slots and queue of build attempts.

    order: selects the next attempts, and has the number of slots. A lower number takes effect when enough running builds have ended.
    """

    table: Table
    clock: Clock
    order: FairOrder

    def claim(self, environment: Environment, *, behind: bool) -> bool:
        """Take a slot for the environment's attempt, or put it into the queue. Return True if it has a slot now.

        behind: in the queue, the attempt comes after all attempts without this flag. Raises Stale.
        """
        for _ in range(CONFLICTS):
            present = self._round()  # read first, so that a slot taken since then causes a conflict
            place = self._place(environment.key, environment.attempt)
            if place and place.data["pk"] == SLOTS:
                return True
            turn, shares = self._turn(environment, behind, place, present)
            aim = self._free_slot(turn) or turn
            if place and place.data["sk"] == aim.sk:
                return False
            if aim.pk == SLOTS:
                shares = [*shares, *self._moved_on(present, turn)]
            # After a conflict, and after the move into the queue, the loop checks again: a slot may have become free.
            with suppress(Stale):
                self._move(environment, place, aim, shares)
        raise Stale

    def put_back(self, environment: Environment, *, behind: bool, why: str) -> None:
        """Move the attempt from its slot back to its own position in the queue. why: the build service's reason. Raises Stale."""
        for _ in range(CONFLICTS):
            place = self._place(environment.key, environment.attempt)
            if place is None or place.data["pk"] == LINE:
                return
            slot = self.table.get(SLOTS, place.data["sk"])
            if slot is None:
                continue
            aim = Item(LINE, _turn_key(environment, behind, float(slot.data["round"])), slot.data)
            with suppress(Stale):
                self._move(environment, place, aim, [], why)
                return
        raise Stale

    def refusal(self, environment: str, attempt: int) -> str:
        """Return the reason why an attempt was put back into the queue; empty if it waits for a slot, or does not wait."""
        place = self._place(environment, attempt)
        return str(place.data.get("why", "")) if place and place.data["pk"] == LINE else ""

    def leave(self, environment: str, attempt: int) -> None:
        """Free the place of an attempt that has ended. Idempotent. Raises Stale."""
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
        """Return whether the attempt is in the queue."""
        return bool(self._turn_of(environment, attempt))

    def has(self, environment: str, attempt: int) -> bool:
        """Return whether the attempt has a slot."""
        place = self._place(environment, attempt)
        return place is not None and place.data["pk"] == SLOTS

    def is_behind(self, environment: str, attempt: int) -> bool:
        """Return whether the attempt is in the queue behind all attempts of launches that open a session."""
        return self._turn_of(environment, attempt).startswith(BEHIND)

    def before(self, environment: str, attempt: int) -> int | None:
        """Return the number of attempts before it in the queue; None if it is not in the queue."""
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
        """Return the queued attempts that can get a slot now, in order."""
        held = self._held()
        if len(held) >= self.order.slots:
            return []
        return [_standing(item) for item in self.order.admitted(pages(self.table, LINE), held)]

    def held(self) -> list[Standing]:
        """Return the attempts that have a slot."""
        return [_standing(item) for item in self._held()]

    def waiting(self) -> int:
        """Return the length of the queue, for gauges."""
        return sum(1 for _ in pages(self.table, LINE))

    def _place(self, environment: str, attempt: int) -> Item | None:
        return self.table.get(*_key(environment, attempt))

    def _turn_of(self, environment: str, attempt: int) -> str:
        place = self._place(environment, attempt)
        return str(place.data["sk"]) if place and place.data["pk"] == LINE else ""

    def _held(self) -> list[Item]:
        return list(pages(self.table, SLOTS))

    def _free_slot(self, turn: Item) -> Item | None:
        """Return a free slot's item for this attempt; None if no slot is free, or if other attempts are before it."""
        held = self._held()
        if len(held) >= self.order.slots or turn not in self.order.admitted(self._line_with(turn), held):
            return None
        taken = {item.sk for item in held}
        numbers = [sk for n in range(self.order.slots) if (sk := f"{n:04d}") not in taken]
        return replace(turn, pk=SLOTS, sk=numbers[self.clock.pick(len(numbers))])

    def _line_with(self, turn: Item) -> Iterator[Item]:
        """Yield the queue up to and with `turn`, without other items of the same attempt."""
        for item in pages(self.table, LINE):
            if item.sk > turn.sk:
                break
            if _standing(item) != _standing(turn):
                yield item
        yield turn

    def _round(self) -> Item:
        """Return the current round. Without limits per client or owner, it stays the first round."""
        first = Item(*ROUND, {"round": 0.0})
        return (self.table.get(*ROUND) or first) if self.order.per_client or self.order.per_owner else first

    def _turn(
        self, environment: Environment, behind: bool, place: Item | None, present: Item
    ) -> tuple[Item, list[Item]]:
        """Return an attempt's turn, and the items to be written with a new turn, which use up rounds of its client and its owner."""
        client = environment.client
        owner = build_share_of(environment.repository) if client else ""
        limits = self.order.limits({"client": client, "owner": owner})
        rounds = [] if place else [self.table.get(key, "round") or Item(key, "round", {"next": 0.0}) for key in limits]
        number = max([float(present.data["round"]), *(float(item.data["next"]) for item in rounds)])
        if place:
            number = round_of(place.data["sk"])
        turn = {"environment": environment.key, "attempt": environment.attempt, "client": client, "owner": owner}
        until = self.clock.now() + ROUNDS_SECONDS
        taken = [replace(item, data={"next": number + 1 / limits[item.pk]}, expires_at=until) for item in rounds]
        return Item(LINE, _turn_key(environment, behind, number), {**turn, "round": number}), taken

    def _moved_on(self, present: Item, turn: Item) -> list[Item]:
        """Return the current round after the turn gets its slot; no item without limits.

        It is written for each build that has a share, so that concurrent claims of slots conflict.
        """
        number = max(float(present.data["round"]), float(turn.data["round"]))
        return [present.with_data({"round": number})] if self.order.limits(whose(turn)) else []

    def _move(self, environment: Environment, place: Item | None, aim: Item, shares: list[Item], why: str = "") -> None:
        """Move the attempt from its place, if it has one, to `aim`. why: the build service's reason, in the queue. Raises Stale."""
        old = self._stands_at(place) if place else []
        place = place or Item(*_key(environment.key, environment.attempt))
        stands = {"pk": aim.pk, "sk": aim.sk, **({"why": why} if why else {})}
        self.table.transact([place.with_data(stands), aim, *old, *shares])

    def _stands_at(self, place: Item) -> list[Delete]:
        item = self.table.get(place.data["pk"], place.data["sk"])
        return [Delete(item)] if item else []


def _key(environment: str, attempt: int) -> tuple[str, str]:
    return f"build#{environment}#{attempt}", "place"


def _turn_key(environment: Environment, behind: bool, number: float) -> str:
    """Return the key that orders the line: prebuilds last, then by round, then by the time of the claim."""
    return (
        f"{int(behind)}#{number:{ROUND_FORMAT}}#{environment.claimed_at:017.6f}#{environment.key}#{environment.attempt}"
    )


def _standing(item: Item) -> Standing:
    return Standing(item.data["environment"], item.data["attempt"])
