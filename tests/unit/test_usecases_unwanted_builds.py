"""Builds that have a slot but did not begin, as the build service was down, and that no launch waits for any more."""

import pytest

from bindery.domain.builds import BuildOrder
from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import BuildAbandoned, BuildServiceDown
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildRequested
from bindery.state.build_slots import Standing
from tests.fakes.in_memory_system import Small


@pytest.fixture
def small() -> Small:
    return Small(rate_limit=1000, build_slots=1)


def down(order: BuildOrder) -> str:
    raise BuildServiceDown(why="no capacity")


def asked_while_it_is_down(small: Small, monkeypatch: pytest.MonkeyPatch, *, build_only: bool = False) -> Launch:
    """Return a launch with a build that has a slot but did not begin."""
    with monkeypatch.context() as ill:
        ill.setattr(small.builds, "start", down)
        launch = small.open(build_only=build_only)
        small.handle(small.queue.pop())
        with pytest.raises(BuildServiceDown):
            small.handle(small.queue.pop())
    assert len(small.system.state.slots.held()) == 1
    return small.launch(launch)


def found(small: Small, launch: Launch) -> Environment:
    environment = small.system.state.environments.find(launch.environment)
    assert environment
    return environment


def at_rest(small: Small) -> bool:
    return not small.system.state.slots.held() and not small.system.state.slots.waiting()


def running(small: Small) -> list[str]:
    return [handle.rpartition("-")[0] for handle, report in small.builds.reports.items() if report.state == "running"]


@pytest.mark.parametrize("build_only", [False, True])
def test_an_unstarted_build_without_waiting_launches_frees_its_slot(
    small: Small, monkeypatch: pytest.MonkeyPatch, build_only: bool
) -> None:
    launch = asked_while_it_is_down(small, monkeypatch, build_only=build_only)
    small.system.stop_launch(launch.id)
    monkeypatch.setattr(small.builds, "start", down)
    small.handle(BuildRequested(environment=launch.environment, attempt=1))
    assert at_rest(small)
    assert found(small, launch).failure == Failure.of(BuildAbandoned())


def test_a_sweep_frees_the_slot_if_the_message_is_lost(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = asked_while_it_is_down(small, monkeypatch)
    small.system.stop_launch(launch.id)
    small.take()
    small.clock.advance(61)
    small.system.reconcile()
    small.pump()
    assert at_rest(small)
    assert small.builds.started == []


def test_an_unstarted_build_with_a_waiting_launch_keeps_its_slot(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launch of a prebuild has ended, but a visitor's launch that came meanwhile waits for the build."""
    launch = asked_while_it_is_down(small, monkeypatch, build_only=True)
    late = small.open()
    small.pump()
    small.system.stop_launch(launch.id)
    small.handle(BuildRequested(environment=launch.environment, attempt=1))
    assert running(small) == [launch.environment]
    small.build()
    assert (small.launch(late).stage, small.launch(late).attempt) == (Stage.READY, 1)


def test_a_build_that_has_taken_its_first_step_is_not_abandoned(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service began the build but did not answer. Its handle is recorded just when no launch waits any more."""
    launch = asked_while_it_is_down(small, monkeypatch)
    small.system.stop_launch(launch.id)
    order = BuildOrder.of(found(small, launch), 600)

    def step_first(operation: str, keys: object) -> None:
        if operation == "transact" and "environment#" in str(keys):
            small.table.before = lambda operation, keys: None
            handle = small.builds.start(order)
            small.system.state.environments.record_start(launch.environment, 1, handle)

    small.table.before = step_first
    small.handle(BuildRequested(environment=launch.environment, attempt=1))
    assert found(small, launch).state is EnvironmentState.BUILDING
    assert small.system.state.slots.held() == [Standing(launch.environment, 1)]
    small.build()
    assert at_rest(small)


def test_a_build_abandoned_during_its_start_is_stopped(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = asked_while_it_is_down(small, monkeypatch)
    message, start = BuildRequested(environment=launch.environment, attempt=1), small.builds.start

    def given_up_meanwhile(order: BuildOrder) -> str:
        small.system.stop_launch(launch.id)
        small.handle(message)
        return start(order)

    monkeypatch.setattr(small.builds, "start", given_up_meanwhile)
    small.handle(message)
    assert (
        small.system.state.environments.handle(launch.environment, 1) == ""
    )  # The build's first step would end it too.
    assert running(small) == []
    assert at_rest(small)
