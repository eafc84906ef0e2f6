"""The rules of the clock port, on this machine's clock and on the fake one."""

import re
from datetime import UTC, datetime

import pytest

from bindery.adapters.clock import SystemClock
from bindery.ports.clock import Clock
from tests.fakes.clock import FakeClock


@pytest.fixture(params=["system", "fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return SystemClock() if request.param == "system" else FakeClock(seed=1)


def test_now_is_in_utc_seconds() -> None:
    before = datetime.now(UTC).timestamp()
    now = SystemClock().now()
    # datetime rounds to microseconds, so the borders are a microsecond wide
    assert before - 1e-6 <= now <= datetime.now(UTC).timestamp() + 1e-6


@pytest.mark.parametrize("size", [1, 16, 32])
def test_ids_are_lower_case_hex_of_the_given_size(clock: Clock, size: int) -> None:
    assert re.fullmatch(f"[0-9a-f]{{{2 * size}}}", clock.random_id(size))


def test_ids_are_unique_and_have_16_bytes_by_default(clock: Clock) -> None:
    ids = {clock.random_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(id_) for id_ in ids} == {32}


def test_a_pick_is_one_of_the_choices(clock: Clock) -> None:
    assert {clock.pick(3) for _ in range(1000)} == {0, 1, 2}
    assert clock.pick(1) == 0


def test_the_fake_clock_moves_only_on_request() -> None:
    clock = FakeClock(time=100.0)
    assert clock.now() == clock.now() == 100.0
    clock.advance(2.5)
    assert clock.now() == 102.5
    clock.time = 7.0
    assert clock.now() == 7.0


def test_equal_seeds_give_equal_ids_and_picks() -> None:
    def drawn(seed: int) -> list[str | int]:
        clock = FakeClock(seed)
        return [clock.random_id(), clock.pick(1000), clock.random_id(4), clock.pick(7)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
