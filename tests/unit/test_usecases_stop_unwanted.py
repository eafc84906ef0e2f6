"""Running builds that no launch waits for. Such a build is stopped some time after the last waiting launch has ended."""

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildFailed, BuildServiceDown, BuildStopped
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged
from bindery.usecases.steps.stop_unwanted import GRACE_SECONDS
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import InMemorySystem

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))


@pytest.fixture
def system() -> InMemorySystem:
    return InMemorySystem(rate_limit=1000, build_slots=1)


def building(system: InMemorySystem, spec: str = "o/r/HEAD", *, build_only: bool = False) -> Launch:
    opened = system.open(spec, build_only=build_only)
    system.pump()
    return system.launch(opened)


def sweep(system: InMemorySystem, seconds: float) -> None:
    """Let time pass, with a sweep every minute and one at the end."""
    end = system.clock.now() + seconds
    while system.clock.now() < end:
        system.clock.advance(min(60, end - system.clock.now()))
        system.bindery.reconcile()
        system.pump()


@pytest.mark.parametrize("build_only", [False, True])
def test_build_of_a_stopped_launch_is_stopped_after_the_grace_and_frees_its_slot(
    system: InMemorySystem, build_only: bool
) -> None:
    launch = building(system, build_only=build_only)
    system.bindery.stop_launch(launch.id)
    sweep(system, GRACE_SECONDS - 1)
    assert system.builds.running()
    sweep(system, 120)
    assert system.builds.running() == []
    assert system.environment(launch).failure == Failure.of(BuildStopped())
    assert system.bindery.state.slots.held() == []
    assert system.waiters(launch.environment) == []


@pytest.mark.parametrize("build_only", [False, True])
def test_build_with_one_waiting_launch_left_continues(system: InMemorySystem, build_only: bool) -> None:
    launch, other = building(system), building(system, build_only=build_only)
    system.bindery.stop_launch(launch.id)
    sweep(system, 300)
    system.build()
    assert (system.launch(other).stage, system.launch(other).attempt) == (Stage.READY, 1)


def test_build_without_an_open_stream_continues(system: InMemorySystem) -> None:
    """No stream is read in this test, because a closed tab is not a stop."""
    launch = building(system)
    sweep(system, 500)
    system.build()
    assert system.launch(launch).stage is Stage.READY


def test_build_of_a_launch_past_its_deadline_is_stopped(system: InMemorySystem) -> None:
    system = InMemorySystem(rate_limit=1000, build_slots=1, build_seconds=6000)
    launch = building(system)
    system.bindery.end_launch(launch.id, BuildServiceDown(why="for whatever reason"))
    sweep(system, 180)
    assert system.builds.running() == []


def test_launch_within_the_grace_cancels_the_stop(system: InMemorySystem) -> None:
    launch = building(system)
    system.bindery.stop_launch(launch.id)
    sweep(system, GRACE_SECONDS - 1)
    late = building(system)
    sweep(system, 300)
    system.build()
    assert (system.launch(late).stage, system.launch(late).attempt) == (Stage.READY, 1)
    assert len(system.builds.started) == 1


def test_launch_after_the_stop_gets_a_new_attempt_at_once(system: InMemorySystem) -> None:
    system.bindery.stop_launch(building(system).id)
    sweep(system, 180)
    late = system.ready()
    assert (late.attempt, late.at_first_attempt) == (2, True)


def test_launch_that_registers_during_the_stop_of_its_build_gets_the_next_attempt(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.bindery.stop_launch(building(system).id)
    system.take()
    stop, late = system.builds.stop, []

    def come_first(handle: str) -> None:
        late.append(building(system))
        stop(handle)

    monkeypatch.setattr(system.builds, "stop", come_first)
    system.clock.advance(121)
    system.bindery.reconcile()
    system.pump()
    assert [system.launch(each).attempt for each in late] == [2]
    system.build()
    now = system.launch(late[0])
    assert (now.stage, now.retries) == (Stage.READY, 1)
    assert [order.attempt for order in system.builds.started] == [1, 2]


def test_next_attempt_is_not_claimed_before_the_service_confirms_the_end(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service takes its time with the stop. The launch of a visitor that comes meanwhile waits for that attempt's end."""
    launch = building(system)
    system.bindery.stop_launch(launch.id)
    monkeypatch.setattr(system.builds, "stop", lambda handle: None)
    sweep(system, 180)
    late = building(system)
    assert system.launch(late).attempt == 1
    assert system.builds.running() == [f"{launch.environment}-1"]
    system.builds.finish(f"{launch.environment}-1", BAD)
    system.pump()
    assert system.launch(late).attempt == 2


def test_build_that_succeeds_just_before_its_stop_is_a_success(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = building(system)
    system.bindery.stop_launch(launch.id)
    monkeypatch.setattr(system.builds, "stop", system.builds.finish)
    sweep(system, 180)
    assert system.environment(launch).image
    assert system.ready().attempt == 1


def test_stop_that_the_service_refused_is_requested_again(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(handle: str) -> None:
        raise BuildServiceDown(why="no answer")

    system.bindery.stop_launch(building(system).id)
    with monkeypatch.context() as ill:
        ill.setattr(system.builds, "stop", down)
        sweep(system, 180)
    assert system.builds.running()
    sweep(system, 60)
    assert system.builds.running() == []


def test_failure_of_a_build_with_waiting_launches_keeps_its_reason(system: InMemorySystem) -> None:
    launch = building(system)
    sweep(system, 120)
    system.builds.finish(f"{launch.environment}-1", BAD)
    system.pump()
    assert system.launch(launch).failure == BAD.failure


def test_stopped_build_is_counted_as_stopped_and_not_as_a_failure(system: InMemorySystem) -> None:
    system.bindery.stop_launch(building(system).id)
    sweep(system, 180)
    system.handle(BuildChanged(environment=system.builds.started[0].environment, attempt=1))
    counted = system.bindery.state.counters.read()["binderhub_build_count"]
    assert dict(counted) == {(("status", "stopped"),): 1}


def test_first_waiting_build_starts_when_a_stopped_build_frees_its_slot(system: InMemorySystem) -> None:
    system.host.heads = {"o/a": COMMIT, "o/b": COMMIT}
    first, second = building(system, "o/a/HEAD"), building(system, "o/b/HEAD")
    system.bindery.stop_launch(first.id)
    sweep(system, 180)
    assert system.builds.running() == [f"{second.environment}-1"]
