"""Tests of seeds of worlds in which every call may fail. The rules hold in each, and a seed always tells the same
story.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields

import pytest

from bindery.domain.errors import BinderyError
from bindery.domain.launch import Stage
from bindery.usecases.record_build import RecordBuild
from tests.simulation.broken import Broken
from tests.simulation.faults import Faults
from tests.simulation.functions import ROOT, Crashed
from tests.simulation.lives import Lives, all_lived, lived, together
from tests.simulation.world import World

SEEDS = range(1, 401)


@pytest.fixture(scope="module")
def lives() -> Lives:
    """Provide the sum of all lives."""
    return together(all_lived(SEEDS))


@pytest.mark.timeout(900)
def test_the_invariants_hold_under_all_faults(lives: Lives) -> None:
    print(*lives.lines(), sep="\n")
    assert not lives.failures, "\n".join(lives.failures.values())
    assert lives.seeds == len(SEEDS)
    assert lives.launches > 1000


def test_every_kind_of_fault_occurs(lives: Lives) -> None:
    assert {fault.name for fault in fields(Faults)} == set(lives.faults)


TRACE = "from tests.simulation.world import World; w = World(11); w.run(); print(*w.entries, sep='\\n')"


def traced(hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    process = subprocess.run([sys.executable, "-c", TRACE], cwd=ROOT, env=environment, capture_output=True, check=True)
    return process.stdout


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    first = traced("1")
    assert first.count(b"\n") > 100
    assert first == traced("2")
    other = World(12)
    other.run()
    assert first.decode() != "\n".join(map(str, other.entries))


def test_without_faults_every_launch_is_ready_at_its_first_attempt() -> None:
    for seed in range(1, 11):
        world = World(seed, visitors=6, faults=Faults())
        world.run()
        ends = [launch for launch in world.launches if launch.spec != "o/missing/HEAD"]
        full = {
            "ForeignCommit",
            "QuotaReached",
            "RepositoryQuotaReached",
            "TooManyBuilds",
            "TooManySessions",
            "OwnerBuildsReached",
        }
        unlucky = [launch for launch in ends if launch.failure and launch.failure.kind not in full]
        assert not unlucky
        assert all(launch.at_first_attempt for launch in ends)


def test_ten_visitors_of_one_new_commit_get_one_build() -> None:
    world = World(3, visitors=10, faults=Faults())
    for visitor in world.visitors:
        visitor.spec, visitor.build_only = "o/popular/HEAD", True
    world.late_comers.clear()
    world.run()
    assert len({order.environment for order in world.builds.started}) == len(world.builds.started)
    assert {launch.stage for launch in world.launches} == {Stage.READY}
    assert len(world.launches) == 10


def test_each_fault_can_be_injected_alone() -> None:
    for fault in fields(Faults):
        world = World(7, faults=Faults(**{fault.name: 0.3}))
        world.run()
        assert set(world.around.injected) <= {fault.name}


def test_an_unexpected_exception_ends_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: object, changed: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(RecordBuild, "__call__", crash)
    with pytest.raises(Crashed, match="ZeroDivisionError"):
        for seed in range(1, 6):
            World(seed).run()


def test_a_failing_seed_prints_its_trace_and_the_command_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordBuild, "__call__", lambda self, changed: None)
    failed = next(lives for seed in range(1, 20) if (lives := lived(seed)).failures)
    ((seed, story),) = failed.failures.items()
    rule, *lines = story.strip().splitlines()
    assert rule.startswith(f"seed {seed}: ")
    assert lines[-1] == f"again: make simulate FIRST={seed} SEEDS=1"
    assert lines[-2].startswith("faults: ")
    assert 2 < len(lines) < 100
    assert (
        list(failed.lines())[-1] == f"seeds 1, launches {failed.launches}, faults {failed.faults.total()}, failures 1"
    )


def test_code_under_test_cannot_catch_a_broken_invariant() -> None:
    assert not issubclass(Broken, Exception)
    assert not issubclass(Broken, BinderyError)


def test_the_numbers_of_several_seeds_are_summed() -> None:
    one, two = lived(1), lived(2)
    both = together([one, two])
    assert (both.seeds, both.launches) == (2, one.launches + two.launches)
    assert both.faults == Counter(one.faults) + Counter(two.faults)
