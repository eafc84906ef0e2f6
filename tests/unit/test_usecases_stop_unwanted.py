"""Running builds that no launch waits for. Such a build is stopped some time after the last waiting launch has ended."""

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.environment import Environment
from bindery.domain.errors import BuildFailed, BuildServiceDown, BuildStopped
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged
from bindery.usecases.steps.stop_unwanted import GRACE_SECONDS
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import Small

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))


@pytest.fixture
def small() -> Small:
    return Small(rate_limit=1000, build_slots=1)


def building(small: Small, spec: str = "o/r/HEAD", *, build_only: bool = False) -> Launch:
    opened = small.open(spec, build_only=build_only)
    small.pump()
    return small.launch(opened)


def sweep(small: Small, seconds: float) -> None:
    """Let time pass, with a sweep every minute and one at the end."""
    end = small.clock.now() + seconds
    while small.clock.now() < end:
        small.clock.advance(min(60, end - small.clock.now()))
        small.system.reconcile()
        small.pump()


def found(small: Small, launch: Launch) -> Environment:
    environment = small.system.state.environments.find(launch.environment)
    assert environment
    return environment


@pytest.mark.parametrize("build_only", [False, True])
def test_build_of_a_stopped_launch_is_stopped_after_the_grace_and_frees_its_slot(
    small: Small, build_only: bool
) -> None:
    launch = building(small, build_only=build_only)
    small.system.stop_launch(launch.id)
    sweep(small, GRACE_SECONDS - 1)
    assert small.builds.running()
    sweep(small, 120)
    assert small.builds.running() == []
    assert found(small, launch).failure == Failure.of(BuildStopped())
    assert small.system.state.slots.held() == []
    assert small.waiters(launch.environment) == []


@pytest.mark.parametrize("build_only", [False, True])
def test_build_with_one_waiting_launch_left_continues(small: Small, build_only: bool) -> None:
    launch, other = building(small), building(small, build_only=build_only)
    small.system.stop_launch(launch.id)
    sweep(small, 300)
    small.build()
    assert (small.launch(other).stage, small.launch(other).attempt) == (Stage.READY, 1)


def test_build_without_an_open_stream_continues(small: Small) -> None:
    """No stream is read in this test, because a closed tab is not a stop."""
    launch = building(small)
    sweep(small, 500)
    small.build()
    assert small.launch(launch).stage is Stage.READY


def test_build_of_a_launch_past_its_deadline_is_stopped(small: Small) -> None:
    small = Small(rate_limit=1000, build_slots=1, build_seconds=6000)
    launch = building(small)
    small.system.end_launch(launch.id, BuildServiceDown(why="for whatever reason"))
    sweep(small, 180)
    assert small.builds.running() == []


def test_launch_within_the_grace_cancels_the_stop(small: Small) -> None:
    launch = building(small)
    small.system.stop_launch(launch.id)
    sweep(small, GRACE_SECONDS - 1)
    late = building(small)
    sweep(small, 300)
    small.build()
    assert (small.launch(late).stage, small.launch(late).attempt) == (Stage.READY, 1)
    assert len(small.builds.started) == 1


def test_launch_after_the_stop_gets_a_new_attempt_at_once(small: Small) -> None:
    small.system.stop_launch(building(small).id)
    sweep(small, 180)
    late = small.ready()
    assert (late.attempt, late.at_first_attempt) == (2, True)


def test_launch_that_registers_during_the_stop_of_its_build_gets_the_next_attempt(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.system.stop_launch(building(small).id)
    small.take()
    stop, late = small.builds.stop, []

    def come_first(handle: str) -> None:
        late.append(building(small))
        stop(handle)

    monkeypatch.setattr(small.builds, "stop", come_first)
    small.clock.advance(121)
    small.system.reconcile()
    small.pump()
    assert [small.launch(each).attempt for each in late] == [2]
    small.build()
    now = small.launch(late[0])
    assert (now.stage, now.retries) == (Stage.READY, 1)
    assert [order.attempt for order in small.builds.started] == [1, 2]


def test_next_attempt_is_not_claimed_before_the_service_confirms_the_end(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service takes its time with the stop. The launch of a visitor that comes meanwhile waits for that attempt's end."""
    launch = building(small)
    small.system.stop_launch(launch.id)
    monkeypatch.setattr(small.builds, "stop", lambda handle: None)
    sweep(small, 180)
    late = building(small)
    assert small.launch(late).attempt == 1
    assert small.builds.running() == [f"{launch.environment}-1"]
    small.builds.finish(f"{launch.environment}-1", BAD)
    small.pump()
    assert small.launch(late).attempt == 2


def test_build_that_succeeds_just_before_its_stop_is_a_success(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = building(small)
    small.system.stop_launch(launch.id)
    monkeypatch.setattr(small.builds, "stop", small.builds.finish)
    sweep(small, 180)
    assert found(small, launch).image
    assert small.ready().attempt == 1


def test_stop_that_the_service_refused_is_requested_again(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(handle: str) -> None:
        raise BuildServiceDown(why="no answer")

    small.system.stop_launch(building(small).id)
    with monkeypatch.context() as ill:
        ill.setattr(small.builds, "stop", down)
        sweep(small, 180)
    assert small.builds.running()
    sweep(small, 60)
    assert small.builds.running() == []


def test_failure_of_a_build_with_waiting_launches_keeps_its_reason(small: Small) -> None:
    launch = building(small)
    sweep(small, 120)
    small.builds.finish(f"{launch.environment}-1", BAD)
    small.pump()
    assert small.launch(launch).failure == BAD.failure


def test_stopped_build_is_counted_as_stopped_and_not_as_a_failure(small: Small) -> None:
    small.system.stop_launch(building(small).id)
    sweep(small, 180)
    small.handle(BuildChanged(environment=small.builds.started[0].environment, attempt=1))
    counted = small.system.state.counters.read()["binderhub_build_count"]
    assert dict(counted) == {(("status", "stopped"),): 1}


def test_first_waiting_build_starts_when_a_stopped_build_frees_its_slot(small: Small) -> None:
    small.host.heads = {"o/a": COMMIT, "o/b": COMMIT}
    first, second = building(small, "o/a/HEAD"), building(small, "o/b/HEAD")
    small.system.stop_launch(first.id)
    sweep(small, 180)
    assert small.builds.running() == [f"{second.environment}-1"]
