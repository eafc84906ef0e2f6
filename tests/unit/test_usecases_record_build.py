"""Hints that a build's state may have changed. The build service's report decides, and each waiting launch is told once."""

from collections import Counter

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildAbandoned, BuildFailed, BuildLost, BuildStopped, LaunchStopped, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged, BuildRequested, Message, ResolveRequested, SessionRequested
from tests.fakes.in_memory_system import InMemorySystem

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))


def building(system: InMemorySystem, launches: int = 1) -> tuple[list[Launch], str]:
    """Return launches that wait for one build, and the environment's key."""
    opened = [system.open() for _ in range(launches)]
    system.pump()
    now = [system.launch(launch) for launch in opened]
    assert {launch.stage for launch in now} == {Stage.BUILDING}
    return now, now[0].environment


def test_a_hint_about_a_running_build_changes_nothing(system: InMemorySystem) -> None:
    (launch,), key = building(system)
    system.handle(BuildChanged(environment=key, attempt=1))
    assert system.launch(launch) == launch
    assert system.queue.sent == []


def test_a_hint_before_the_start_of_the_build_changes_nothing(system: InMemorySystem) -> None:
    launch = system.open()
    system.handle(system.queue.pop())
    key = system.launch(launch).environment
    system.handle(BuildChanged(environment=key, attempt=1))
    assert system.launch(launch).stage is Stage.BUILDING


def test_all_waiters_move_on_after_a_build(system: InMemorySystem) -> None:
    launches, key = building(system, 20)
    system.builds.finish(f"{key}-1")
    system.handle(system.queue.pop())
    sent = [sent.message for sent in system.take()]
    assert sorted(str(message) for message in sent) == sorted(
        str(SessionRequested(launch=launch.id, step=launch.step)) for launch in launches
    )
    assert system.waiters(key) == []
    assert list(system.bindery.state.environments.due(ahead=1e6)) == []


def test_a_repeated_hint_sends_no_message_twice(system: InMemorySystem) -> None:
    _, key = building(system)
    system.builds.finish(f"{key}-1")
    hint = system.queue.pop()
    system.handle(hint)
    assert len(system.take()) == 1
    system.handle(hint)
    assert system.queue.sent == []


def test_a_hint_about_an_older_attempt_is_ignored(system: InMemorySystem) -> None:
    system.ready()
    system.builds.images.clear()
    (launch,), key = building(system)
    assert launch.attempt == 2
    system.handle(BuildChanged(environment=key, attempt=1))
    assert system.launch(launch) == launch


def test_a_failed_build_ends_its_launches_with_its_reason(system: InMemorySystem) -> None:
    (first, second), key = building(system, 2)
    system.builds.finish(f"{key}-1", BAD)
    system.pump()
    for launch in (first, second):
        failure = system.launch(launch).failure
        assert failure == BAD.failure


def test_a_lost_attempt_is_repeated_for_all_waiters(system: InMemorySystem) -> None:
    (first, second), key = building(system, 2)
    del system.builds.reports[f"{key}-1"]
    system.handle(BuildChanged(environment=key, attempt=1))
    system.build()
    assert [order.attempt for order in system.builds.started] == [1, 2]
    assert {system.launch(launch).stage for launch in (first, second)} == {Stage.READY}
    assert system.launch(first).retries == 1


def test_a_build_lost_again_and_again_ends_the_launch(system: InMemorySystem) -> None:
    (launch,), _ = building(system)
    for _ in range(20):
        now = system.launch(launch)
        if now.ended:
            break
        system.builds.reports.pop(f"{now.environment}-{now.attempt}", None)
        system.handle(BuildChanged(environment=now.environment, attempt=now.attempt))
        system.pump()
    failure = system.launch(launch).failure
    assert failure
    assert failure.kind == "BuildLost"


def test_waiters_left_by_a_crash_are_notified_by_the_next_sweep(system: InMemorySystem) -> None:
    launches, key = building(system, 12)
    system.builds.finish(f"{key}-1")
    hint, batches = system.queue.pop(), 0

    def crash_at_the_third(operation: str, keys: object) -> None:
        nonlocal batches
        batches += operation == "transact" and "#waiters#" in str(keys)
        if batches == 3:
            raise KeyboardInterrupt

    system.table.before = crash_at_the_third
    with pytest.raises(KeyboardInterrupt):
        system.handle(hint)
    system.table.before = lambda operation, keys: None
    assert system.waiters(key)
    system.take()
    system.clock.advance(61)
    system.bindery.reconcile()
    system.pump()
    assert {system.launch(launch).stage for launch in launches} == {Stage.READY}
    assert system.waiters(key) == []


@pytest.mark.parametrize("report", [None, BAD, BuildReport(BuildState.FAILED, failure=Failure.of(BuildLost()))])
def test_a_thousand_waiters_need_few_calls_to_table_and_queue(
    system: InMemorySystem, report: BuildReport | None
) -> None:
    """A thousand waiters that are told one by one would take three calls each."""
    (first,), key = building(system)
    for number in range(999):
        launch = first.model_copy(update={"id": f"launch{number}"})
        system.bindery.state.launches.create(launch)
        system.bindery.state.environments.wait(key, 1, launch.id)
    system.builds.finish(f"{key}-1", report)
    hint, calls = system.queue.pop(), 0

    def count(operation: str, keys: object) -> None:
        nonlocal calls
        calls += 1

    system.table.before = count
    system.handle(hint)
    system.table.before = lambda operation, keys: None
    assert calls < 150
    assert system.waiters(key) == []
    stages = Counter(system.launch(each).stage for each in system.bindery.state.launches.unended(10_000))
    messages = Counter(type(sent.message) for sent in system.take())
    if report is None:
        assert messages == {SessionRequested: 1000}
    elif report is BAD:
        assert (messages, stages) == ({}, {})
    else:
        assert (messages, stages) == ({ResolveRequested: 1000}, {Stage.RESOLVING: 1000})


def test_messages_that_the_queue_refused_are_sent_by_the_next_sweep(system: InMemorySystem) -> None:
    launches, key = building(system, 12)
    system.builds.finish(f"{key}-1")
    hint, send, taken = system.queue.pop(), system.queue.send, 0

    def refuse_the_fourth(message: Message, delay: float = 0) -> None:
        nonlocal taken
        taken += 1
        if taken == 4:
            raise Throttled
        send(message, delay)

    system.queue.send = refuse_the_fourth  # type: ignore[method-assign]  # fails in the middle of a batch
    with pytest.raises(Throttled):
        system.handle(hint)
    assert system.waiters(key)
    system.handle(hint)
    system.pump()
    assert {system.launch(launch).stage for launch in launches} == {Stage.READY}
    assert system.waiters(key) == []


@pytest.mark.parametrize("report", [BAD, BuildReport(BuildState.FAILED, failure=Failure.of(BuildLost()))])
def test_a_launch_that_moved_during_its_batch_is_unchanged(system: InMemorySystem, report: BuildReport) -> None:
    launches, key = building(system, 12)
    system.builds.finish(f"{key}-1", report)
    stopped = launches[3]

    def stop_first(operation: str, keys: object) -> None:
        if operation == "transact" and f"launch#{stopped.id}" in str(keys):
            system.table.before = lambda operation, keys: None
            system.bindery.end_launch(stopped.id, LaunchStopped())

    system.table.before = stop_first
    system.handle(system.queue.pop())
    system.table.before = lambda operation, keys: None
    assert system.launch(stopped).failure == Failure.of(LaunchStopped())
    others = {system.launch(each).stage for each in launches if each is not stopped}
    assert others == {Stage.FAILED if report is BAD else Stage.RESOLVING}
    assert system.waiters(key) == []


@pytest.mark.parametrize("kind", ["ImageGone", "BuildAbandoned", "BuildStopped"])
def test_a_launch_that_learns_late_of_its_attempt_continues_with_the_right_reason(
    system: InMemorySystem, kind: str
) -> None:
    """The launch's attempt ended as it should and the next one was claimed, so no build was lost."""
    first, state = system.open(), system.bindery.state.environments
    system.handle(system.queue.pop())
    key = system.launch(first).environment
    if kind == "ImageGone":
        system.pump()
        system.builds.finish(f"{key}-1")
        state.finish(key, 1, image=f"fake/{key}-1")
        system.builds.images.clear()
    elif kind == "BuildStopped":
        system.pump()
        state.mark_unwanted(key, 1)
        system.builds.stop(f"{key}-1")
        state.finish(key, 1, failure=Failure.of(BuildStopped()))
    else:
        state.give_up(key, 1, Failure.of(BuildAbandoned()))
    system.take()
    system.open()
    system.pump()
    system.clock.advance(61)
    system.bindery.reconcile()
    now = system.launch(first)
    assert now.trouble is not None
    assert now.trouble.kind == kind


def test_waiters_left_by_a_crash_are_notified_after_a_new_attempt_began(system: InMemorySystem) -> None:
    launches, key = building(system, 3)
    state = system.bindery.state.environments
    state.finish(key, 1, failure=BAD.failure)  # then the handler crashed
    late = system.open()
    system.pump()
    assert system.launch(late).attempt == 2
    system.build()
    system.clock.advance(61)
    system.bindery.reconcile()
    system.build()
    assert all(system.launch(launch).ended for launch in (*launches, late))
    assert system.waiters(key) == []


def test_a_launch_that_registers_after_the_notifications_does_not_keep_waiting(system: InMemorySystem) -> None:
    """The launch was sent to wait while the build ran. Before it could register, the build ended and all waiters were told."""
    (first,), key = building(system)
    second = system.open()
    system.builds.finish(f"{key}-1")
    ended = system.queue.pop(1)

    def end_before_it_registers(operation: str, keys: object) -> None:
        if operation == "put" and "#waiters#" in str(keys):
            system.table.before = lambda operation, keys: None
            system.handle(ended)

    system.table.before = end_before_it_registers
    system.handle(system.queue.pop(0))
    system.pump()
    assert {system.launch(launch).stage for launch in (first, second)} == {Stage.READY}
    assert system.waiters(key) == []


def test_a_waiter_of_a_newer_attempt_is_not_removed(system: InMemorySystem) -> None:
    _, key = building(system)
    state = system.bindery.state.environments
    state.wait(key, 3, "other")
    state.forget_waiter(key, 2, "other")
    state.wait(key, 1, "other")
    assert "other" in system.waiters(key)
    state.forget_waiter(key, 3, "other")
    assert "other" not in system.waiters(key)


def test_only_the_handler_that_writes_the_outcome_counts_the_build(system: InMemorySystem) -> None:
    _, key = building(system)
    system.builds.finish(f"{key}-1")
    hint = system.queue.pop()
    raced = False

    def somebody_was_faster(operation: str, keys: object) -> None:
        nonlocal raced
        if operation == "put" and not raced and str(keys) == f"['environment#{key}']":
            raced = True
            system.handle(hint)

    system.table.before = somebody_was_faster
    system.handle(hint)
    assert raced
    sums = system.bindery.state.counters.read()["binderhub_build_count"]
    assert sum(sums.values()) == 1


def test_a_started_build_is_not_started_again(system: InMemorySystem) -> None:
    _, key = building(system)
    del system.builds.reports[f"{key}-1"]
    system.handle(BuildRequested(environment=key, attempt=1))
    assert len(system.builds.started) == 1


def test_a_build_message_processed_after_its_attempt_ended_starts_no_lasting_build(system: InMemorySystem) -> None:
    """The order was read while its attempt was wanted. Meanwhile the attempt ran and was forgotten, and another replaced it."""
    launch = system.open()
    system.handle(system.queue.pop())
    order, key = system.queue.pop(), system.launch(launch).environment
    start = system.builds.start

    def meanwhile(build_order: object) -> str:
        system.builds.start = start  # type: ignore[method-assign]  # the original
        system.handle(order)
        del system.builds.reports[f"{key}-1"]
        system.handle(BuildChanged(environment=key, attempt=1))
        system.pump()
        return start(build_order)  # type: ignore[arg-type]  # passed on unchanged

    system.builds.start = meanwhile  # type: ignore[assignment, method-assign]  # for one call
    system.handle(order)
    assert system.builds.running() == [f"{key}-2"]
