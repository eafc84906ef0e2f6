"""Tests with ten thousand launches at the same time. There is one build, all end, and each costs as much as one of
ten does.
"""

import pytest

from bindery.state.quotas import ROOM
from tests.simulation.scale import (
    BUILD_SECONDS,
    LAUNCHES,
    POPULAR,
    SIZES,
    SLOW_BUILD_SECONDS,
    Measured,
    mybinder,
    of_others,
    one_commit,
    popular,
    waits,
)

TEN = SIZES[0]
COUNTED_TOGETHER = 90


@pytest.fixture(scope="module")
def ten() -> Measured:
    return one_commit(TEN)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", SIZES[1:])
def test_one_new_commit_is_built_once_for_any_number_of_launches(count: int, ten: Measured) -> None:
    measured = one_commit(count)
    print(measured)
    assert measured.builds == 1
    assert len(measured.ready) == count
    assert all(launch.at_first_attempt for launch in measured.ready)
    assert measured.per_launch() <= ten.per_launch() * 1.1
    assert measured.sends / count <= ten.sends / TEN * 1.1
    places = 2 * ROOM + 2  # a counter's places are each taken and given back, and it is recounted
    batches = (
        count / COUNTED_TOGETHER + 5
    )  # the timer counts launches in batches, each with one write of the day's names
    assert measured.hottest[1] <= max(places, batches)


@pytest.mark.timeout(900)
def test_a_slow_popular_build_does_not_delay_the_others() -> None:
    measured = popular(SLOW_BUILD_SECONDS)
    print(measured)
    others = of_others(measured)
    assert measured.builds == len({launch.environment for launch in measured.launches})
    assert len(measured.ready) == len(measured.launches) == LAUNCHES
    assert others[len(others) // 2] < BUILD_SECONDS
    assert others[-1] < SLOW_BUILD_SECONDS / 4
    slowest = waits([launch for launch in measured.ready if launch.spec == POPULAR])[-1]
    assert slowest > SLOW_BUILD_SECONDS - 1


def test_launches_have_the_popularity_distribution_of_mybinder() -> None:
    names = [visit.spec for visit in mybinder(LAUNCHES, 2000, 3600)]
    first = sum(name == POPULAR for name in names) / LAUNCHES
    top = sum(names.count(f"o/r{n}/HEAD") for n in range(25)) / LAUNCHES
    assert first == pytest.approx(0.26, abs=0.02)
    assert top == pytest.approx(0.69, abs=0.02)
