"""The faults that the simulation found in the code, each told again as a test of its own."""

from collections.abc import Callable

import pytest

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BuildFailed, BuildServiceDown, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged, BuildRequested, ResolveRequested, SessionRequested, StopRequested
from tests.fakes.in_memory_system import Small

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))
LATER_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"


def once(small: Small, operation: str, key: str, act: Callable[[], object]) -> None:
    """Call `act` before the first such operation on a key of that kind."""

    def before(called: str, keys: object) -> None:
        if called == operation and key in str(keys):
            small.table.before = lambda _operation, _keys: None
            act()

    small.table.before = before


def throttle() -> None:
    raise Throttled


def building(small: Small) -> Launch:
    launch = small.open()
    small.pump()
    return small.launch(launch)


def starting(small: Small) -> Launch:
    """Return a launch with a server that does not answer yet. The message to look again is under way."""
    launch = building(small)
    small.launcher.looks = 1
    small.builds.finish(f"{launch.environment}-1")
    small.handle(small.queue.pop())
    small.handle(small.queue.pop())
    return small.launch(launch)


def test_a_session_that_becomes_ready_during_reconcile_is_not_stopped(small: Small) -> None:
    launch = starting(small)
    assert launch.stage is Stage.STARTING
    watch = small.queue.pop()
    once(small, "get", f"launch#{launch.id}", lambda: small.handle(watch))
    small.system.reconcile()
    assert small.launch(launch).stage is Stage.READY
    assert not [sent for sent in small.take() if isinstance(sent.message, StopRequested)]


def test_a_launch_resolved_again_keeps_the_commit_of_its_session(small: Small) -> None:
    launch = starting(small)
    watch = small.queue.pop()
    small.builds.images.clear()
    small.open(build_only=True)
    small.build()
    small.host.heads["o/r"], small.host.files[LATER_COMMIT] = LATER_COMMIT, {"requirements.txt": b"numpy\n"}
    small.handle(watch)
    small.build()
    ready = small.launch(launch)
    assert ready.stage is Stage.READY
    assert ready.attempt == 2
    assert ready.repository == launch.repository == small.launcher.running[launch.id].order.repository


def test_a_build_that_ends_before_its_handle_is_recorded_is_noticed(small: Small) -> None:
    launch = small.open()
    small.handle(small.queue.pop())
    start = small.builds.start

    def start_and_end(order: BuildOrder) -> str:
        handle = start(order)
        small.builds.finish(handle)
        small.handle(small.queue.pop())  # the event comes before the build's handle is recorded
        return handle

    small.builds.start = start_and_end  # type: ignore[method-assign]  # the service ends the build at once
    small.handle(small.queue.pop())
    assert [sent.message for sent in small.queue.sent] == [SessionRequested(launch=launch.id, step=1)]


def test_waiters_of_a_failed_attempt_are_notified_after_the_next_was_claimed(small: Small) -> None:
    launch = building(small)

    def newcomer() -> None:
        small.open()
        small.handle(small.queue.pop())

    small.builds.finish(f"{launch.environment}-1", BAD)
    once(small, "query", "#waiters#", newcomer)
    small.handle(small.queue.pop())
    ended = small.launch(launch)
    assert (ended.stage, ended.failure) == (Stage.FAILED, BAD.failure)


def test_an_event_of_the_previous_attempt_notifies_its_remaining_waiters(small: Small) -> None:
    launch = building(small)
    key = launch.environment
    small.builds.finish(f"{key}-1", BAD)
    small.system.state.environments.finish(key, 1, failure=BAD.failure)
    small.take()
    newcomer = building(small)
    assert newcomer.attempt == 2
    small.handle(BuildChanged(environment=key, attempt=1))
    assert small.launch(launch).failure == BAD.failure
    assert small.launch(newcomer).stage is Stage.BUILDING
    assert small.waiters(key) == [newcomer.id]


def test_a_dead_letter_of_a_completed_step_performs_the_next(small: Small) -> None:
    launch = small.open()
    once(small, "put", "#waiters#", throttle)
    with pytest.raises(Throttled):
        small.handle(small.queue.pop())
    key = small.launch(launch).environment
    assert small.waiters(key) == []
    small.system.fail_launch(ResolveRequested(launch=launch.id, step=0).model_dump_json())
    assert small.launch(launch).stage is Stage.BUILDING
    assert small.waiters(key) == [launch.id]
    assert [type(sent.message) for sent in small.queue.sent] == [BuildRequested]


def test_a_waiter_that_moved_without_a_message_gets_one_at_the_next_try(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = building(small)
    del small.builds.reports[f"{launch.environment}-1"]
    with monkeypatch.context() as refusing:
        refusing.setattr(small.queue, "send", lambda message, delay=0: throttle())
        with pytest.raises(Throttled):
            small.handle(BuildChanged(environment=launch.environment, attempt=1))
    assert small.launch(launch).stage is Stage.RESOLVING
    small.handle(BuildChanged(environment=launch.environment, attempt=1))
    assert [sent.message for sent in small.queue.sent] == [ResolveRequested(launch=launch.id, step=2)]


def test_a_step_whose_start_cannot_be_recorded_is_delivered_again(small: Small) -> None:
    launch = small.open()
    small.take()
    once(small, "put", f"launch#{launch.id}", throttle)
    with pytest.raises(Throttled):
        small.system.resolve_repository(ResolveRequested(launch=launch.id, step=0), 1)
    assert small.launch(launch).stage is Stage.RESOLVING
    small.system.resolve_repository(ResolveRequested(launch=launch.id, step=0), 2)
    assert small.launch(launch).stage is Stage.BUILDING


def test_a_build_started_for_an_ended_attempt_is_stopped(small: Small) -> None:
    launch = small.open()
    small.handle(small.queue.pop())
    key, start = small.launch(launch).environment, small.builds.start

    def overtaken(order: BuildOrder) -> str:
        small.system.state.environments.finish(key, 1, failure=BAD.failure)
        return start(order)

    small.builds.start = overtaken  # type: ignore[method-assign]  # the attempt ends as its build begins
    small.handle(small.queue.pop())
    assert small.builds.status(f"{key}-1").state is BuildState.FAILED


def test_an_error_after_a_step_was_taken_repeats_its_message(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = small.open()
    small.take()
    once(small, "put", "#waiters#", throttle)
    with pytest.raises(Throttled):
        small.handle(ResolveRequested(launch=launch.id, step=0))
    key = small.launch(launch).environment
    small.system.state.environments.record_start(key, 1, f"{key}-1")
    small.system.state.environments.finish(key, 1, failure=BAD.failure)
    small.open()
    small.pump()

    def down(handle: str) -> BuildReport:
        raise BuildServiceDown(why="no answer")

    with monkeypatch.context() as ill:
        ill.setattr(small.builds, "status", down)
        with pytest.raises(BuildServiceDown):
            small.handle(ResolveRequested(launch=launch.id, step=0))
    assert small.launch(launch).stage is Stage.BUILDING


def test_a_launch_that_moves_on_without_other_messages_leaves_no_waiter(small: Small) -> None:
    launch = building(small)
    key = launch.environment
    small.system.state.environments.finish(key, 1, image="fake/image-1")
    small.take()
    once(small, "delete", "#waiters#", throttle)
    with pytest.raises(Throttled):
        small.system.advance(launch)
    assert small.queue.sent == []  # the launch still waits, so it is advanced again
    small.system.advance(launch)
    assert small.waiters(key) == []
    assert [sent.message for sent in small.queue.sent] == [SessionRequested(launch=launch.id, step=1)]
