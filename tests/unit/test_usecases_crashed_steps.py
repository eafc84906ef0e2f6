"""Steps that crashed their process twice. Such a step does not begin a third time, and its launch fails with a message."""

from pathlib import Path

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildCrashed, HostUnreachable, StepUnderWay, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
from bindery.ports.repository_provider import Resolved
from bindery.usecases.steps.retry import MOST_CRASHED_BUILDS
from bindery.usecases.steps.run_step import LONGEST_SECONDS, MOST_BEGUN
from bindery_local.template import read
from tests.fakes.in_memory_system import InMemorySystem

TEMPLATE = read(Path(__file__).parents[2] / "template.yaml")


class OutOfMemory(BaseException):
    """The end of a process, as an exception that no code in the process may catch."""


def crash(system: InMemorySystem, message: ResolveRequested | SessionRequested) -> None:
    with pytest.raises(OutOfMemory):
        system.handle(message)


def that_crashes(spec: str) -> Resolved:
    raise OutOfMemory


@pytest.fixture
def launch(system: InMemorySystem, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Return a launch with a repository that crashes each process that resolves it."""
    monkeypatch.setattr(system.host, "resolve", that_crashes)
    return system.open()


def test_a_step_that_crashed_twice_fails_its_launch(system: InMemorySystem, launch: Launch) -> None:
    message = ResolveRequested(launch=launch.id, step=0)
    for count in (1, 2):
        crash(system, message)
        assert system.launch(launch).begun == count
        system.clock.advance(LONGEST_SECONDS)
    system.handle(message)
    failed = system.launch(launch)
    assert failed.failure is not None
    assert (failed.stage, failed.failure.kind) == (Stage.FAILED, "StepCrashed")
    assert "repository" in str(failed.failure.facts["step"])


def test_a_restart_does_not_begin_a_step_that_crashed_twice(system: InMemorySystem, launch: Launch) -> None:
    """A restart takes up every launch at once. The step must not begin again, even while it is not yet known to have crashed."""
    for _ in range(MOST_BEGUN):
        system.bindery.reconcile(ahead=1e9)
        crash(system, ResolveRequested(launch=launch.id, step=0))
    with pytest.raises(StepUnderWay):
        system.handle(ResolveRequested(launch=launch.id, step=0))
    assert system.launch(launch).begun == MOST_BEGUN


def test_a_session_step_that_crashed_twice_fails_its_launch(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.ready()
    launch = system.open()
    system.handle(system.queue.pop())
    message = system.queue.pop()
    assert isinstance(message, SessionRequested)

    def crashing(*_: object) -> None:
        raise OutOfMemory

    monkeypatch.setattr(system.launcher, "start", crashing)
    for _ in range(MOST_BEGUN):
        crash(system, message)
    system.clock.advance(LONGEST_SECONDS)
    system.handle(message)
    failure = system.launch(launch).failure
    assert failure is not None
    assert failure.kind == "StepCrashed"


@pytest.mark.parametrize("waiting", [1, 3])
def test_a_build_that_crashed_twice_is_not_started_again(system: InMemorySystem, waiting: int) -> None:
    """The build itself may have ended the process, through the content or the plan of a hostile repository."""
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


def test_a_step_that_moves_on_resets_its_crash_count(system: InMemorySystem, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """A process on one machine has no timeout, and a large working copy may take minutes."""
    launch = system.open()
    message = ResolveRequested(launch=launch.id, step=0)
    real, deliveries = system.host.resolve, [LONGEST_SECONDS, LONGEST_SECONDS]

    def slow(spec: str) -> Resolved:
        if deliveries:
            system.clock.advance(deliveries.pop())
            if deliveries:
                system.handle(message)
            else:
                with pytest.raises(StepUnderWay):
                    system.handle(message)
        return real(spec)

    monkeypatch.setattr(system.host, "resolve", slow)
    system.handle(message)
    assert system.launch(launch).stage is Stage.BUILDING


@pytest.mark.parametrize("name", ["resolve", "sessions"])
def test_a_message_is_redelivered_after_its_step_counts_as_crashed(name: str) -> None:
    """With a shorter visibility time the last delivery would find a step that may still run. The launch would wait for a timer."""
    queue = next(queue for queue in TEMPLATE.queues if queue.name == name)
    assert queue.visibility_seconds >= LONGEST_SECONDS + 10
