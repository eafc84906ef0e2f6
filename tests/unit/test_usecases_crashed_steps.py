"""Tests of steps that crash their process. After two crashes a step is not started again, and its launch fails with a sentence."""

from pathlib import Path

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildCrashed, HostUnreachable, StepUnderWay, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
from bindery.ports.repository_provider import Resolved
from bindery.usecases.steps.retry import MOST_CRASHED_BUILDS
from bindery.usecases.steps.run_step import CRASHED_AFTER_SECONDS, MAX_UNREPORTED_STARTS
from bindery_local.template import read
from tests.fakes.in_memory_system import InMemorySystem

TEMPLATE = read(Path(__file__).parents[2] / "template.yaml")


class OutOfMemory(BaseException):
    """Simulated end of the process. The code under test must not catch it."""


def handle_and_crash(system: InMemorySystem, message: ResolveRequested | SessionRequested) -> None:
    with pytest.raises(OutOfMemory):
        system.handle(message)


def resolve_and_crash(spec: str) -> Resolved:
    raise OutOfMemory


@pytest.fixture
def launch(system: InMemorySystem, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Return a launch whose repository crashes every process that resolves it."""
    monkeypatch.setattr(system.host, "resolve", resolve_and_crash)
    return system.open()


def test_a_step_that_crashed_twice_fails_its_launch(system: InMemorySystem, launch: Launch) -> None:
    message = ResolveRequested(launch=launch.id, step=0)
    for count in (1, 2):
        handle_and_crash(system, message)
        assert system.launch(launch).begun == count
        system.clock.advance(CRASHED_AFTER_SECONDS)
    system.handle(message)
    failed = system.launch(launch)
    assert failed.failure is not None
    assert (failed.stage, failed.failure.kind) == (Stage.FAILED, "StepCrashed")
    assert "repository" in str(failed.failure.facts["step"])


def test_a_restart_does_not_begin_a_step_that_crashed_twice(system: InMemorySystem, launch: Launch) -> None:
    """After a restart, every launch continues at once. The step must not start again, even before its last start counts as crashed."""
    for _ in range(MAX_UNREPORTED_STARTS):
        system.bindery.reconcile(ahead=1e9)
        handle_and_crash(system, ResolveRequested(launch=launch.id, step=0))
    with pytest.raises(StepUnderWay):
        system.handle(ResolveRequested(launch=launch.id, step=0))
    assert system.launch(launch).begun == MAX_UNREPORTED_STARTS


def test_a_session_step_that_crashed_twice_fails_its_launch(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.ready()
    launch = system.open()
    system.handle(system.queue.pop())
    message = system.queue.pop()
    assert isinstance(message, SessionRequested)

    def start_and_crash(*_: object) -> None:
        raise OutOfMemory

    monkeypatch.setattr(system.launcher, "start", start_and_crash)
    for _ in range(MAX_UNREPORTED_STARTS):
        handle_and_crash(system, message)
    system.clock.advance(CRASHED_AFTER_SECONDS)
    system.handle(message)
    failure = system.launch(launch).failure
    assert failure is not None
    assert failure.kind == "StepCrashed"


@pytest.mark.parametrize("waiting", [1, 3])
def test_a_build_that_crashed_twice_is_not_started_again(system: InMemorySystem, waiting: int) -> None:
    """The files or the plan of a hostile repository may have crashed the build's process."""
    crashed = BuildReport(BuildState.FAILED, failure=Failure.of(BuildCrashed()))
    launches = [system.open() for _ in range(waiting)]
    for _ in range(5):
        system.pump()
        for handle in system.builds.running():
            system.builds.finish(handle, crashed)
    assert len(system.builds.started) == MOST_CRASHED_BUILDS
    failures = [system.launch(launch).failure for launch in launches]
    assert failures == [crashed.failure] * waiting


def test_a_reported_error_does_not_count_as_a_crash(system: InMemorySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = system.open()

    def throttled(*_: object, **__: object) -> None:
        raise Throttled

    monkeypatch.setattr(system.host, "resolve", throttled)
    for _ in range(5):
        with pytest.raises(Throttled):
            system.handle(ResolveRequested(launch=launch.id, step=0))
    assert system.launch(launch).begun == 0
    assert not system.launch(launch).ended


def test_a_retry_resets_the_crash_count(system: InMemorySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = system.open()

    def down(_: str) -> Resolved:
        raise HostUnreachable(host="h", why="no answer")

    monkeypatch.setattr(system.host, "resolve", down)
    system.handle(system.queue.pop())
    now = system.launch(launch)
    assert (now.step, now.begun) == (1, 0)


def test_a_step_still_running_in_this_process_has_not_crashed(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one machine a step has no timeout, and the copy of a large repository may take minutes."""
    launch = system.open()
    message = ResolveRequested(launch=launch.id, step=0)
    real_resolve, redeliveries = system.host.resolve, [CRASHED_AFTER_SECONDS, CRASHED_AFTER_SECONDS]

    def slow(spec: str) -> Resolved:
        if redeliveries:
            system.clock.advance(redeliveries.pop())
            if redeliveries:
                system.handle(message)
            else:  # both allowed starts still run, so the third is refused
                with pytest.raises(StepUnderWay):
                    system.handle(message)
        return real_resolve(spec)

    monkeypatch.setattr(system.host, "resolve", slow)
    system.handle(message)
    assert system.launch(launch).stage is Stage.BUILDING


@pytest.mark.parametrize("name", ["resolve", "sessions"])
def test_a_message_is_redelivered_after_its_step_counts_as_crashed(name: str) -> None:
    """Otherwise the last delivery would find a step that may still run, and the launch would have to wait for a timer."""
    queue = next(queue for queue in TEMPLATE.queues if queue.name == name)
    assert queue.visibility_seconds >= CRASHED_AFTER_SECONDS + 10
