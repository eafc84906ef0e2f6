"""Builds that have a slot but did not begin, as the build service was down, and that no launch waits for any more."""

import pytest

from bindery.domain.builds import BuildOrder
from bindery.domain.environment import EnvironmentState
from bindery.domain.errors import BuildAbandoned, BuildServiceDown
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildRequested
from bindery.state.build_slots import Standing
from tests.fakes.in_memory_system import InMemorySystem


@pytest.fixture
def system() -> InMemorySystem:
    return InMemorySystem(rate_limit=1000, build_slots=1)


def down(order: BuildOrder) -> str:
    raise BuildServiceDown(why="no capacity")


def launched_during_outage(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch, *, build_only: bool = False
) -> Launch:
    """Return a launch with a build that has a slot but did not begin."""
    with monkeypatch.context() as ill:
        ill.setattr(system.builds, "start", down)
        launch = system.open(build_only=build_only)
        system.handle(system.queue.pop())
        with pytest.raises(BuildServiceDown):
            system.handle(system.queue.pop())
    assert len(system.bindery.state.slots.held()) == 1
    return system.launch(launch)


def running(system: InMemorySystem) -> list[str]:
    return [handle.rpartition("-")[0] for handle, report in system.builds.reports.items() if report.state == "running"]


@pytest.mark.parametrize("build_only", [False, True])
def test_an_unstarted_build_without_waiting_launches_frees_its_slot(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch, build_only: bool
) -> None:
    launch = launched_during_outage(system, monkeypatch, build_only=build_only)
    system.bindery.stop_launch(launch.id)
    monkeypatch.setattr(system.builds, "start", down)
    system.handle(BuildRequested(environment=launch.environment, attempt=1))
    assert system.slots_are_free()
    assert system.environment(launch).failure == Failure.of(BuildAbandoned())


def test_a_sweep_frees_the_slot_if_the_message_is_lost(system: InMemorySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = launched_during_outage(system, monkeypatch)
    system.bindery.stop_launch(launch.id)
    system.take()
    system.clock.advance(61)
    system.bindery.reconcile()
    system.pump()
    assert system.slots_are_free()
    assert system.builds.started == []


def test_an_unstarted_build_with_a_waiting_launch_keeps_its_slot(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launch of a prebuild has ended, but a visitor's launch that came meanwhile waits for the build."""
    launch = launched_during_outage(system, monkeypatch, build_only=True)
    late = system.open()
    system.pump()
    system.bindery.stop_launch(launch.id)
    system.handle(BuildRequested(environment=launch.environment, attempt=1))
    assert running(system) == [launch.environment]
    system.build()
    assert (system.launch(late).stage, system.launch(late).attempt) == (Stage.READY, 1)


def test_a_build_that_has_taken_its_first_step_is_not_abandoned(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service began the build but did not answer. Its handle is recorded just when no launch waits any more."""
    launch = launched_during_outage(system, monkeypatch)
    system.bindery.stop_launch(launch.id)
    order = BuildOrder.of(system.environment(launch), 600)

    def step_first(operation: str, keys: object) -> None:
        if operation == "transact" and "environment#" in str(keys):
            system.table.before = lambda operation, keys: None
            handle = system.builds.start(order)
            system.bindery.state.environments.record_start(launch.environment, 1, handle)

    system.table.before = step_first
    system.handle(BuildRequested(environment=launch.environment, attempt=1))
    assert system.environment(launch).state is EnvironmentState.BUILDING
    assert system.bindery.state.slots.held() == [Standing(launch.environment, 1)]
    system.build()
    assert system.slots_are_free()


def test_a_build_abandoned_during_its_start_is_stopped(system: InMemorySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = launched_during_outage(system, monkeypatch)
    message, start = BuildRequested(environment=launch.environment, attempt=1), system.builds.start

    def given_up_meanwhile(order: BuildOrder) -> str:
        system.bindery.stop_launch(launch.id)
        system.handle(message)
        return start(order)

    monkeypatch.setattr(system.builds, "start", given_up_meanwhile)
    system.handle(message)
    assert (
        system.bindery.state.environments.handle(launch.environment, 1) == ""
    )  # The build's first step would end it too.
    assert running(system) == []
    assert system.slots_are_free()
