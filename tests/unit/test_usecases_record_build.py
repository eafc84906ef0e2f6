"""Hints that a build's state may have changed. The build service's report decides, and each waiting launch is told once."""

from collections import Counter

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildAbandoned, BuildFailed, BuildLost, BuildStopped, LaunchStopped, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged, BuildRequested, Message, ResolveRequested, SessionRequested
from tests.fakes.in_memory_system import Small

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))


def building(small: Small, launches: int = 1) -> tuple[list[Launch], str]:
    """Return launches that wait for one build, and the environment's key."""
    opened = [small.open() for _ in range(launches)]
    small.pump()
    now = [small.launch(launch) for launch in opened]
    assert {launch.stage for launch in now} == {Stage.BUILDING}
    return now, now[0].environment


def test_a_hint_about_a_running_build_changes_nothing(small: Small) -> None:
    (launch,), key = building(small)
    small.handle(BuildChanged(environment=key, attempt=1))
    assert small.launch(launch) == launch
    assert small.queue.sent == []


def test_a_hint_before_the_start_of_the_build_changes_nothing(small: Small) -> None:
    launch = small.open()
    small.handle(small.queue.pop())
    key = small.launch(launch).environment
    small.handle(BuildChanged(environment=key, attempt=1))
    assert small.launch(launch).stage is Stage.BUILDING


def test_all_waiters_move_on_after_a_build(small: Small) -> None:
    launches, key = building(small, 20)
    small.builds.finish(f"{key}-1")
    small.handle(small.queue.pop())
    sent = [sent.message for sent in small.take()]
    assert sorted(str(message) for message in sent) == sorted(
        str(SessionRequested(launch=launch.id, step=launch.step)) for launch in launches
    )
    assert small.waiters(key) == []
    assert list(small.system.state.environments.due(ahead=1e6)) == []


def test_a_repeated_hint_sends_no_message_twice(small: Small) -> None:
    _, key = building(small)
    small.builds.finish(f"{key}-1")
    hint = small.queue.pop()
    small.handle(hint)
    assert len(small.take()) == 1
    small.handle(hint)
    assert small.queue.sent == []


def test_a_hint_about_an_older_attempt_is_ignored(small: Small) -> None:
    small.ready()
    small.builds.images.clear()
    (launch,), key = building(small)
    assert launch.attempt == 2
    small.handle(BuildChanged(environment=key, attempt=1))
    assert small.launch(launch) == launch


def test_a_failed_build_ends_its_launches_with_its_reason(small: Small) -> None:
    (first, second), key = building(small, 2)
    small.builds.finish(f"{key}-1", BAD)
    small.pump()
    for launch in (first, second):
        failure = small.launch(launch).failure
        assert failure == BAD.failure


def test_a_lost_attempt_is_repeated_for_all_waiters(small: Small) -> None:
    (first, second), key = building(small, 2)
    del small.builds.reports[f"{key}-1"]
    small.handle(BuildChanged(environment=key, attempt=1))
    small.build()
    assert [order.attempt for order in small.builds.started] == [1, 2]
    assert {small.launch(launch).stage for launch in (first, second)} == {Stage.READY}
    assert small.launch(first).retries == 1


def test_a_build_lost_again_and_again_ends_the_launch(small: Small) -> None:
    (launch,), _ = building(small)
    for _ in range(20):
        now = small.launch(launch)
        if now.ended:
            break
        small.builds.reports.pop(f"{now.environment}-{now.attempt}", None)
        small.handle(BuildChanged(environment=now.environment, attempt=now.attempt))
        small.pump()
    failure = small.launch(launch).failure
    assert failure
    assert failure.kind == "BuildLost"


def test_waiters_left_by_a_crash_are_notified_by_the_next_sweep(small: Small) -> None:
    launches, key = building(small, 12)
    small.builds.finish(f"{key}-1")
    hint, batches = small.queue.pop(), 0

    def crash_at_the_third(operation: str, keys: object) -> None:
        nonlocal batches
        batches += operation == "transact" and "#waiters#" in str(keys)
        if batches == 3:
            raise KeyboardInterrupt

    small.table.before = crash_at_the_third
    with pytest.raises(KeyboardInterrupt):
        small.handle(hint)
    small.table.before = lambda operation, keys: None
    assert small.waiters(key)
    small.take()
    small.clock.advance(61)
    small.system.reconcile()
    small.pump()
    assert {small.launch(launch).stage for launch in launches} == {Stage.READY}
    assert small.waiters(key) == []


@pytest.mark.parametrize("report", [None, BAD, BuildReport(BuildState.FAILED, failure=Failure.of(BuildLost()))])
def test_a_thousand_waiters_need_few_calls_to_table_and_queue(small: Small, report: BuildReport | None) -> None:
    """A thousand waiters that are told one by one would take three calls each."""
    (first,), key = building(small)
    for number in range(999):
        launch = first.model_copy(update={"id": f"launch{number}"})
        small.system.state.launches.create(launch)
        small.system.state.environments.wait(key, 1, launch.id)
    small.builds.finish(f"{key}-1", report)
    hint, calls = small.queue.pop(), 0

    def count(operation: str, keys: object) -> None:
        nonlocal calls
        calls += 1

    small.table.before = count
    small.handle(hint)
    small.table.before = lambda operation, keys: None
    assert calls < 150
    assert small.waiters(key) == []
    stages = Counter(small.launch(each).stage for each in small.system.state.launches.unended(10_000))
    messages = Counter(type(sent.message) for sent in small.take())
    if report is None:
        assert messages == {SessionRequested: 1000}
    elif report is BAD:
        assert (messages, stages) == ({}, {})
    else:
        assert (messages, stages) == ({ResolveRequested: 1000}, {Stage.RESOLVING: 1000})


def test_messages_that_the_queue_refused_are_sent_by_the_next_sweep(small: Small) -> None:
    launches, key = building(small, 12)
    small.builds.finish(f"{key}-1")
    hint, send, taken = small.queue.pop(), small.queue.send, 0

    def refuse_the_fourth(message: Message, delay: float = 0) -> None:
        nonlocal taken
        taken += 1
        if taken == 4:
            raise Throttled
        send(message, delay)

    small.queue.send = refuse_the_fourth  # type: ignore[method-assign]  # fails in the middle of a batch
    with pytest.raises(Throttled):
        small.handle(hint)
    assert small.waiters(key)
    small.handle(hint)
    small.pump()
    assert {small.launch(launch).stage for launch in launches} == {Stage.READY}
    assert small.waiters(key) == []


@pytest.mark.parametrize("report", [BAD, BuildReport(BuildState.FAILED, failure=Failure.of(BuildLost()))])
def test_a_launch_that_moved_during_its_batch_is_unchanged(small: Small, report: BuildReport) -> None:
    launches, key = building(small, 12)
    small.builds.finish(f"{key}-1", report)
    stopped = launches[3]

    def stop_first(operation: str, keys: object) -> None:
        if operation == "transact" and f"launch#{stopped.id}" in str(keys):
            small.table.before = lambda operation, keys: None
            small.system.end_launch(stopped.id, LaunchStopped())

    small.table.before = stop_first
    small.handle(small.queue.pop())
    small.table.before = lambda operation, keys: None
    assert small.launch(stopped).failure == Failure.of(LaunchStopped())
    others = {small.launch(each).stage for each in launches if each is not stopped}
    assert others == {Stage.FAILED if report is BAD else Stage.RESOLVING}
    assert small.waiters(key) == []


@pytest.mark.parametrize("kind", ["ImageGone", "BuildAbandoned", "BuildStopped"])
def test_a_launch_that_learns_late_of_its_attempt_continues_with_the_right_reason(small: Small, kind: str) -> None:
    """The launch's attempt ended as it should and the next one was claimed, so no build was lost."""
    first, state = small.open(), small.system.state.environments
    small.handle(small.queue.pop())
    key = small.launch(first).environment
    if kind == "ImageGone":
        small.pump()
        small.builds.finish(f"{key}-1")
        state.finish(key, 1, image=f"fake/{key}-1")
        small.builds.images.clear()
    elif kind == "BuildStopped":
        small.pump()
        state.mark_unwanted(key, 1)
        small.builds.stop(f"{key}-1")
        state.finish(key, 1, failure=Failure.of(BuildStopped()))
    else:
        state.give_up(key, 1, Failure.of(BuildAbandoned()))
    small.take()
    small.open()
    small.pump()
    small.clock.advance(61)
    small.system.reconcile()
    now = small.launch(first)
    assert now.trouble is not None
    assert now.trouble.kind == kind


def test_waiters_left_by_a_crash_are_notified_after_a_new_attempt_began(small: Small) -> None:
    launches, key = building(small, 3)
    state = small.system.state.environments
    state.finish(key, 1, failure=BAD.failure)  # then the handler crashed
    late = small.open()
    small.pump()
    assert small.launch(late).attempt == 2
    small.build()
    small.clock.advance(61)
    small.system.reconcile()
    small.build()
    assert all(small.launch(launch).ended for launch in (*launches, late))
    assert small.waiters(key) == []


def test_a_launch_that_registers_after_the_notifications_does_not_keep_waiting(small: Small) -> None:
    """The launch was sent to wait while the build ran. Before it could register, the build ended and all waiters were told."""
    (first,), key = building(small)
    second = small.open()
    small.builds.finish(f"{key}-1")
    ended = small.queue.pop(1)

    def end_before_it_registers(operation: str, keys: object) -> None:
        if operation == "put" and "#waiters#" in str(keys):
            small.table.before = lambda operation, keys: None
            small.handle(ended)

    small.table.before = end_before_it_registers
    small.handle(small.queue.pop(0))
    small.pump()
    assert {small.launch(launch).stage for launch in (first, second)} == {Stage.READY}
    assert small.waiters(key) == []


def test_a_waiter_of_a_newer_attempt_is_not_removed(small: Small) -> None:
    _, key = building(small)
    state = small.system.state.environments
    state.wait(key, 3, "other")
    state.forget_waiter(key, 2, "other")
    state.wait(key, 1, "other")
    assert "other" in small.waiters(key)
    state.forget_waiter(key, 3, "other")
    assert "other" not in small.waiters(key)


def test_only_the_handler_that_writes_the_outcome_counts_the_build(small: Small) -> None:
    _, key = building(small)
    small.builds.finish(f"{key}-1")
    hint = small.queue.pop()
    raced = False

    def somebody_was_faster(operation: str, keys: object) -> None:
        nonlocal raced
        if operation == "put" and not raced and str(keys) == f"['environment#{key}']":
            raced = True
            small.handle(hint)

    small.table.before = somebody_was_faster
    small.handle(hint)
    assert raced
    sums = small.system.state.counters.read()["binderhub_build_count"]
    assert sum(sums.values()) == 1


def test_a_started_build_is_not_started_again(small: Small) -> None:
    _, key = building(small)
    del small.builds.reports[f"{key}-1"]
    small.handle(BuildRequested(environment=key, attempt=1))
    assert len(small.builds.started) == 1


def test_a_build_message_processed_after_its_attempt_ended_starts_no_lasting_build(small: Small) -> None:
    """The order was read while its attempt was wanted. Meanwhile the attempt ran and was forgotten, and another replaced it."""
    launch = small.open()
    small.handle(small.queue.pop())
    order, key = small.queue.pop(), small.launch(launch).environment
    start = small.builds.start

    def meanwhile(build_order: object) -> str:
        small.builds.start = start  # type: ignore[method-assign]  # the original
        small.handle(order)
        del small.builds.reports[f"{key}-1"]
        small.handle(BuildChanged(environment=key, attempt=1))
        small.pump()
        return start(build_order)  # type: ignore[arg-type]  # passed on unchanged

    small.builds.start = meanwhile  # type: ignore[assignment, method-assign]  # for one call
    small.handle(order)
    assert small.builds.running() == [f"{key}-2"]
