"""Seeds of a world in which everything fails: the rules hold in each, and the same seed always tells the same story."""

import pytest

from bindery.domain.errors import BinderyError
from bindery.domain.launch import Stage
from bindery.state.quotas import Quotas
from bindery.usecases.end_launch import EndLaunch
from bindery.usecases.record_build import RecordBuild
from tests.simulation.faults import Faults
from tests.simulation.invariants import Broken
from tests.simulation.world import World

SEEDS = range(1, 151)
FOUND_BUGS = (1118, 1224)
"""Once these failed: waiters that were left over when one attempt followed another."""


def lived(seed: int, **settings: object) -> World:
    """The world after its whole life; a failure is its story."""
    world = World(seed, **settings)  # type: ignore[arg-type]  # passed on as they are
    try:
        world.run()
    except Broken as broken:
        pytest.fail(f"seed {seed}: {broken.rule}\n{world.story(broken.about)}", pytrace=False)
    return world


@pytest.mark.parametrize("seed", [*SEEDS, *FOUND_BUGS])
def test_the_rules_hold_whatever_fails(seed: int) -> None:
    assert lived(seed).watched.launches


def test_the_same_seed_tells_the_same_story() -> None:
    assert [str(told) for told in lived(11).told] == [str(told) for told in lived(11).told]
    assert [str(told) for told in lived(11).told] != [str(told) for told in lived(12).told]


def test_without_faults_every_launch_is_ready_at_its_first_attempt() -> None:
    for seed in range(1, 11):
        world = lived(seed, visitors=6, faults=Faults())
        ends = [launch for launch in world.watched.launches.values() if launch.spec != "o/missing/HEAD"]
        full = {"QuotaReached", "RepositoryQuotaReached"}
        unlucky = [launch for launch in ends if launch.failure and launch.failure.kind not in full]
        assert not unlucky
        assert all(launch.retries == 0 for launch in ends)


def test_ten_visitors_of_one_new_commit_get_one_build() -> None:
    world = World(3, visitors=10, faults=Faults())
    for visitor in world.visitors:
        visitor.spec, visitor.build_only = "o/popular/HEAD", True
    world.late_comers.clear()
    world.run()
    assert len({order.environment for order in world.builds.started}) == len(world.builds.started)
    assert {launch.stage for launch in world.watched.launches.values()} == {Stage.READY}
    assert len(world.watched.launches) == 10


def failures(seeds: range) -> int:
    count = 0
    for seed in seeds:
        try:
            World(seed).run()
        except Broken:
            count += 1
    return count


def test_a_place_that_is_never_given_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quotas, "give_back", lambda self, places: [])
    monkeypatch.setattr("bindery.usecases.recount_places.RecountPlaces.__call__", lambda self: None)
    assert failures(range(1, 6))


def test_a_build_event_that_nobody_hears_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordBuild, "__call__", lambda self, changed: None)
    assert failures(range(1, 6))


def test_a_launch_that_never_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EndLaunch, "__call__", lambda self, launch, error, step=None: None)
    assert failures(range(1, 6))


def test_what_is_no_fact_of_ours_ends_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: object, changed: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(RecordBuild, "__call__", crash)
    with pytest.raises(ZeroDivisionError):
        failures(range(1, 6))


def test_the_story_names_the_seed_to_replay() -> None:
    world = World(5)
    world.run()
    launch = next(iter(world.watched.launches))
    assert world.story(launch).endswith("again: python -m tests.simulation 5")
    assert launch in world.story(launch)
    assert not issubclass(Broken, BinderyError)
