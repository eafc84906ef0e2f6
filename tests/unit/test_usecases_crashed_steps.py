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
from tests.fakes.in_memory_system import Small

TEMPLATE = read(Path(__file__).parents[2] / "template.yaml")


class OutOfMemory(BaseException):
    """The end of a process, as an exception that no code in the process may catch."""


def crash(small: Small, message: ResolveRequested | SessionRequested) -> None:
    with pytest.raises(OutOfMemory):
        small.handle(message)


def that_crashes(spec: str) -> Resolved:
    raise OutOfMemory


@pytest.fixture
def launch(small: Small, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Return a launch with a repository that crashes each process that resolves it."""
    monkeypatch.setattr(small.host, "resolve", that_crashes)
    return small.open()


def test_a_step_that_crashed_twice_fails_its_launch(small: Small, launch: Launch) -> None:
    message = ResolveRequested(launch=launch.id, step=0)
    for count in (1, 2):
        crash(small, message)
        assert small.launch(launch).begun == count
        small.clock.advance(LONGEST_SECONDS)
    small.handle(message)
    failed = small.launch(launch)
    assert failed.failure is not None
    assert (failed.stage, failed.failure.kind) == (Stage.FAILED, "StepCrashed")
    assert "repository" in str(failed.failure.facts["step"])


def test_a_restart_does_not_begin_a_step_that_crashed_twice(small: Small, launch: Launch) -> None:
    """A restart takes up every launch at once. The step must not begin again, even while it is not yet known to have crashed."""
    for _ in range(MOST_BEGUN):
        small.system.reconcile(ahead=1e9)
        crash(small, ResolveRequested(launch=launch.id, step=0))
    with pytest.raises(StepUnderWay):
        small.handle(ResolveRequested(launch=launch.id, step=0))
    assert small.launch(launch).begun == MOST_BEGUN


def test_a_session_step_that_crashed_twice_fails_its_launch(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.ready()
    launch = small.open()
    small.handle(small.queue.pop())
    message = small.queue.pop()
    assert isinstance(message, SessionRequested)

    def crashing(*_: object) -> None:
        raise OutOfMemory

    monkeypatch.setattr(small.launcher, "start", crashing)
    for _ in range(MOST_BEGUN):
        crash(small, message)
    small.clock.advance(LONGEST_SECONDS)
    small.handle(message)
    failure = small.launch(launch).failure
    assert failure is not None
    assert failure.kind == "StepCrashed"


@pytest.mark.parametrize("waiting", [1, 3])
def test_a_build_that_crashed_twice_is_not_started_again(small: Small, waiting: int) -> None:
    """The build itself may have ended the process, through the content or the plan of a hostile repository."""
    crashed = BuildReport(BuildState.FAILED, failure=Failure.of(BuildCrashed()))
    launches = [small.open() for _ in range(waiting)]
    for _ in range(5):
        small.pump()
        for handle in small.builds.running():
            small.builds.finish(handle, crashed)
    assert len(small.builds.started) == MOST_CRASHED_BUILDS
    failures = [small.launch(launch).failure for launch in launches]
    assert failures == [crashed.failure] * waiting


def test_a_reported_error_does_not_count_as_a_crash(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = small.open()

    def throttled(*_: object, **__: object) -> None:
        raise Throttled

    monkeypatch.setattr(small.host, "resolve", throttled)
    for _ in range(5):
        with pytest.raises(Throttled):
            small.handle(ResolveRequested(launch=launch.id, step=0))
    assert small.launch(launch).begun == 0
    assert not small.launch(launch).ended


def test_a_step_that_moves_on_resets_its_crash_count(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = small.open()

    def down(_: str) -> Resolved:
        raise HostUnreachable(host="h", why="no answer")

    monkeypatch.setattr(small.host, "resolve", down)
    small.handle(small.queue.pop())
    now = small.launch(launch)
    assert (now.step, now.begun) == (1, 0)


def test_a_step_still_running_in_this_process_has_not_crashed(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process on one machine has no timeout, and a large working copy may take minutes."""
    launch = small.open()
    message = ResolveRequested(launch=launch.id, step=0)
    real, deliveries = small.host.resolve, [LONGEST_SECONDS, LONGEST_SECONDS]

    def slow(spec: str) -> Resolved:
        if deliveries:
            small.clock.advance(deliveries.pop())
            if deliveries:
                small.handle(message)
            else:
                with pytest.raises(StepUnderWay):
                    small.handle(message)
        return real(spec)

    monkeypatch.setattr(small.host, "resolve", slow)
    small.handle(message)
    assert small.launch(launch).stage is Stage.BUILDING


@pytest.mark.parametrize("name", ["resolve", "sessions"])
def test_a_message_is_redelivered_after_its_step_counts_as_crashed(name: str) -> None:
    """With a shorter visibility time the last delivery would find a step that may still run. The launch would wait for a timer."""
    queue = next(queue for queue in TEMPLATE.queues if queue.name == name)
    assert queue.visibility_seconds >= LONGEST_SECONDS + 10
