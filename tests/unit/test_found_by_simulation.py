"""The faults that the simulation found in the code, each told again as a test of its own."""

from collections.abc import Callable

import pytest

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BuildFailed, BuildServiceDown, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged, BuildRequested, ResolveRequested, SessionRequested, StopRequested
from tests.fakes.in_memory_system import InMemorySystem

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))
LATER_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"


def once(system: InMemorySystem, operation: str, key: str, act: Callable[[], object]) -> None:
    """Call `act` before the first such operation on a key of that kind."""

    def before(called: str, keys: object) -> None:
        if called == operation and key in str(keys):
            system.table.before = lambda _operation, _keys: None
            act()

    system.table.before = before


def throttle() -> None:
    raise Throttled


def building(system: InMemorySystem) -> Launch:
    launch = system.open()
    system.pump()
    return system.launch(launch)


def starting(system: InMemorySystem) -> Launch:
    """Return a launch with a server that does not answer yet. The message to look again is under way."""
    launch = building(system)
    system.launcher.looks = 1
    system.builds.finish(f"{launch.environment}-1")
    system.handle(system.queue.pop())
    system.handle(system.queue.pop())
    return system.launch(launch)


def test_a_session_that_becomes_ready_during_reconcile_is_not_stopped(system: InMemorySystem) -> None:
    launch = starting(system)
    assert launch.stage is Stage.STARTING
    watch = system.queue.pop()
    once(system, "get", f"launch#{launch.id}", lambda: system.handle(watch))
    system.bindery.reconcile()
    assert system.launch(launch).stage is Stage.READY
    assert not [sent for sent in system.take() if isinstance(sent.message, StopRequested)]


def test_a_launch_resolved_again_keeps_the_commit_of_its_session(system: InMemorySystem) -> None:
    launch = starting(system)
    watch = system.queue.pop()
    system.builds.images.clear()
    system.open(build_only=True)
    system.build()
    system.host.heads["o/r"], system.host.files[LATER_COMMIT] = LATER_COMMIT, {"requirements.txt": b"numpy\n"}
    system.handle(watch)
    system.build()
    ready = system.launch(launch)
    assert ready.stage is Stage.READY
    assert ready.attempt == 2
    assert ready.repository == launch.repository == system.launcher.running[launch.id].order.repository


def test_a_build_that_ends_before_its_handle_is_recorded_is_noticed(system: InMemorySystem) -> None:
    launch = system.open()
    system.handle(system.queue.pop())
    start = system.builds.start

    def start_and_end(order: BuildOrder) -> str:
        handle = start(order)
        system.builds.finish(handle)
        system.handle(system.queue.pop())  # the event comes before the build's handle is recorded
        return handle

    system.builds.start = start_and_end  # type: ignore[method-assign]  # the service ends the build at once
    system.handle(system.queue.pop())
    assert [sent.message for sent in system.queue.sent] == [SessionRequested(launch=launch.id, step=1)]


def test_waiters_of_a_failed_attempt_are_notified_after_the_next_was_claimed(system: InMemorySystem) -> None:
    launch = building(system)

    def newcomer() -> None:
        system.open()
        system.handle(system.queue.pop())

    system.builds.finish(f"{launch.environment}-1", BAD)
    once(system, "query", "#waiters#", newcomer)
    system.handle(system.queue.pop())
    ended = system.launch(launch)
    assert (ended.stage, ended.failure) == (Stage.FAILED, BAD.failure)


def test_an_event_of_the_previous_attempt_notifies_its_remaining_waiters(system: InMemorySystem) -> None:
    launch = building(system)
    key = launch.environment
    system.builds.finish(f"{key}-1", BAD)
    system.bindery.state.environments.finish(key, 1, failure=BAD.failure)
    system.take()
    newcomer = building(system)
    assert newcomer.attempt == 2
    system.handle(BuildChanged(environment=key, attempt=1))
    assert system.launch(launch).failure == BAD.failure
    assert system.launch(newcomer).stage is Stage.BUILDING
    assert system.waiters(key) == [newcomer.id]


def test_a_dead_letter_of_a_completed_step_performs_the_next(system: InMemorySystem) -> None:
    launch = system.open()
    once(system, "put", "#waiters#", throttle)
    with pytest.raises(Throttled):
        system.handle(system.queue.pop())
    key = system.launch(launch).environment
    assert system.waiters(key) == []
    system.bindery.fail_launch(ResolveRequested(launch=launch.id, step=0).model_dump_json())
    assert system.launch(launch).stage is Stage.BUILDING
    assert system.waiters(key) == [launch.id]
    assert [type(sent.message) for sent in system.queue.sent] == [BuildRequested]


def test_a_waiter_that_moved_without_a_message_gets_one_at_the_next_try(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = building(system)
    del system.builds.reports[f"{launch.environment}-1"]
    with monkeypatch.context() as refusing:
        refusing.setattr(system.queue, "send", lambda message, delay=0: throttle())
        with pytest.raises(Throttled):
            system.handle(BuildChanged(environment=launch.environment, attempt=1))
    assert system.launch(launch).stage is Stage.RESOLVING
    system.handle(BuildChanged(environment=launch.environment, attempt=1))
    assert [sent.message for sent in system.queue.sent] == [ResolveRequested(launch=launch.id, step=2)]


def test_a_step_whose_start_cannot_be_recorded_is_delivered_again(system: InMemorySystem) -> None:
    launch = system.open()
    system.take()
    once(system, "put", f"launch#{launch.id}", throttle)
    with pytest.raises(Throttled):
        system.bindery.resolve_repository(ResolveRequested(launch=launch.id, step=0), 1)
    assert system.launch(launch).stage is Stage.RESOLVING
    system.bindery.resolve_repository(ResolveRequested(launch=launch.id, step=0), 2)
    assert system.launch(launch).stage is Stage.BUILDING


def test_a_build_started_for_an_ended_attempt_is_stopped(system: InMemorySystem) -> None:
    launch = system.open()
    system.handle(system.queue.pop())
    key, start = system.launch(launch).environment, system.builds.start

    def overtaken(order: BuildOrder) -> str:
        system.bindery.state.environments.finish(key, 1, failure=BAD.failure)
        return start(order)

    system.builds.start = overtaken  # type: ignore[method-assign]  # the attempt ends as its build begins
    system.handle(system.queue.pop())
    assert system.builds.status(f"{key}-1").state is BuildState.FAILED


def test_an_error_after_a_step_was_taken_repeats_its_message(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = system.open()
    system.take()
    once(system, "put", "#waiters#", throttle)
    with pytest.raises(Throttled):
        system.handle(ResolveRequested(launch=launch.id, step=0))
    key = system.launch(launch).environment
    system.bindery.state.environments.record_start(key, 1, f"{key}-1")
    system.bindery.state.environments.finish(key, 1, failure=BAD.failure)
    system.open()
    system.pump()

    def down(handle: str) -> BuildReport:
        raise BuildServiceDown(why="no answer")

    with monkeypatch.context() as ill:
        ill.setattr(system.builds, "status", down)
        with pytest.raises(BuildServiceDown):
            system.handle(ResolveRequested(launch=launch.id, step=0))
    assert system.launch(launch).stage is Stage.BUILDING


def test_a_launch_that_moves_on_without_other_messages_leaves_no_waiter(system: InMemorySystem) -> None:
    launch = building(system)
    key = launch.environment
    system.bindery.state.environments.finish(key, 1, image="fake/image-1")
    system.take()
    once(system, "delete", "#waiters#", throttle)
    with pytest.raises(Throttled):
        system.bindery.advance(launch)
    assert system.queue.sent == []  # the launch still waits, so it is advanced again
    system.bindery.advance(launch)
    assert system.waiters(key) == []
    assert [sent.message for sent in system.queue.sent] == [SessionRequested(launch=launch.id, step=1)]
