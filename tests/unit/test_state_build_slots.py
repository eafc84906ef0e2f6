"""Build slots and the queue for them. Each attempt holds at most one slot, and the first in the queue is served first."""

from collections.abc import Callable

import pytest

from bindery.domain.environment import Environment, EnvironmentState, Scope
from bindery.domain.errors import Throttled
from bindery.state.build_slots import BuildSlots, Standing
from bindery.state.fair_order import FairOrder
from tests.fakes.clock import FakeClock
from tests.fakes.many import REPOSITORY
from tests.fakes.table import DictTable


@pytest.fixture
def slots(table: DictTable) -> BuildSlots:
    return BuildSlots(table, FakeClock(), FairOrder(1))


def environment(key: str, at: float = 0, attempt: int = 1) -> Environment:
    """Return an environment that was claimed `at` seconds after the start of the test."""
    return Environment(
        key=key,
        scope=Scope.FILES,
        inputs={},
        state=EnvironmentState.BUILDING,
        attempt=attempt,
        claimed_by="launch",
        claimed_at=1_700_000_000 + at,
        repository=REPOSITORY,
    )


A, B, C, D = (environment(key, at) for at, key in enumerate("abcd"))


def claim(slots: BuildSlots, *environments: Environment, behind: bool = False) -> list[bool]:
    return [slots.claim(each, behind=behind) for each in environments]


def line(slots: BuildSlots, *environments: Environment) -> list[int | None]:
    return [slots.before(each.key, each.attempt) for each in environments]


def once(table: DictTable, operation: str, key: str, act: Callable[[], object]) -> None:
    """Call `act` before the first such operation on that key."""

    def before(name: str, keys: object) -> None:
        if name == operation and key in str(keys):
            table.before = lambda _operation, _keys: None
            act()

    table.before = before


def test_all_slots_can_be_held(table: DictTable) -> None:
    slots = BuildSlots(table, FakeClock(), FairOrder(3))
    assert claim(slots, A, B, C, D) == [True, True, True, False]
    assert {standing.environment for standing in slots.held()} == {"a", "b", "c"}
    assert line(slots, A, B, C, D) == [None, None, None, 0]
    assert slots.waiting() == 1


def test_a_repeated_claim_keeps_its_slot_or_place(slots: BuildSlots, table: DictTable) -> None:
    claim(slots, A, B, C)
    before = table.items()
    assert claim(slots, A, B, C) == [True, False, False]
    assert table.items() == before


def test_concurrent_claims_for_one_attempt_take_one_slot(table: DictTable) -> None:
    slots = BuildSlots(table, FakeClock(), FairOrder(5))
    once(table, "transact", "build-slots", lambda: claim(slots, A))
    assert claim(slots, A) == [True]
    assert slots.held() == [Standing("a", 1)]


def test_concurrent_claims_for_the_last_slot_take_it_once(slots: BuildSlots, table: DictTable) -> None:
    once(table, "transact", "build-slots", lambda: claim(slots, B))
    assert claim(slots, A) == [False]
    assert slots.held() == [Standing("b", 1)]


def test_a_slot_that_becomes_free_during_queueing_is_taken(slots: BuildSlots, table: DictTable) -> None:
    claim(slots, A)
    once(table, "transact", "build-line", lambda: slots.leave("a", 1))
    assert claim(slots, B) == [True]
    assert slots.waiting() == 0


def test_waiting_attempts_are_served_in_order(slots: BuildSlots) -> None:
    claim(slots, A, D, C, B)
    assert line(slots, B, C, D) == [0, 1, 2]
    slots.leave("a", 1)
    assert slots.first() == [Standing("b", 1)]
    assert claim(slots, D, C) == [False, False]
    assert claim(slots, B) == [True]
    assert line(slots, B, C, D) == [None, 0, 1]


def test_as_many_attempts_are_next_as_slots_are_free(table: DictTable) -> None:
    slots = BuildSlots(table, FakeClock(), FairOrder(2))
    claim(slots, A, environment("x"), B, C, D)
    assert slots.first() == []
    slots.leave("a", 1)
    slots.leave("x", 1)
    assert slots.first() == [Standing("b", 1), Standing("c", 1)]
    assert claim(slots, D, C) == [False, True]


def test_prebuilds_wait_behind_others_until_a_visitor_waits_for_them(slots: BuildSlots) -> None:
    claim(slots, A)
    claim(slots, B, behind=True)
    claim(slots, C)
    assert line(slots, C, B) == [0, 1]
    assert (slots.is_behind("b", 1), slots.is_behind("c", 1), slots.is_behind("a", 1)) == (True, False, False)
    assert claim(slots, B) == [False]
    assert line(slots, B, C) == [0, 1]
    assert slots.waiting() == 2


def test_an_attempt_leaves_only_its_own_place(slots: BuildSlots) -> None:
    claim(slots, A, B)
    slots.leave("a", 2)
    slots.leave("b", 1)
    assert slots.held() == [Standing("a", 1)]
    assert slots.waiting() == 0
    slots.leave("a", 1)
    slots.leave("a", 1)
    assert slots.held() == []


def test_no_items_remain_after_all_attempts_left(slots: BuildSlots, table: DictTable) -> None:
    claim(slots, A, B)
    for each in (A, B):
        slots.leave(each.key, each.attempt)
    assert table.items() == []


def test_the_next_attempt_of_an_environment_needs_its_own_slot(slots: BuildSlots) -> None:
    again = environment("a", 9, attempt=2)
    assert claim(slots, A, again) == [True, False]
    slots.leave("a", 1)
    assert claim(slots, again) == [True]
    assert slots.held() == [Standing("a", 2)]


def test_after_a_reduction_of_slots_none_is_free_until_enough_are_left(slots: BuildSlots, table: DictTable) -> None:
    more = BuildSlots(table, FakeClock(), FairOrder(3))
    claim(more, A, B, C)
    assert claim(slots, D) == [False]
    slots.leave("a", 1)
    slots.leave("b", 1)
    assert slots.first() == []
    slots.leave("c", 1)
    assert claim(slots, D) == [True]


def test_more_waiting_attempts_than_a_page_are_counted(slots: BuildSlots) -> None:
    everybody = [environment(f"{n:03}", n) for n in range(250)]
    claim(slots, *everybody)
    assert line(slots, everybody[-1]) == [248]
    assert slots.waiting() == 249


def test_an_error_of_the_table_changes_nothing(slots: BuildSlots, table: DictTable) -> None:
    def throttle() -> None:
        raise Throttled

    claim(slots, A)
    for kind in ("build-line", "build-slots"):
        before = table.items()
        once(table, "transact", kind, throttle)
        with pytest.raises(Throttled):
            claim(slots, B) if kind == "build-line" else slots.leave("a", 1)
        assert table.items() == before


def test_a_query_of_the_line_writes_nothing(slots: BuildSlots, table: DictTable) -> None:
    claim(slots, A, B)
    operations: list[str] = []
    table.before = lambda operation, keys: operations.append(operation)
    assert slots.before("b", 1) == 0
    assert set(operations) == {"get", "query"}
