"""Repairs by the sweep. Lost messages are sent again, stuck launches continue or fail, and leftovers are removed."""

import pytest

from bindery.domain.errors import LauncherDown, Throttled
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildRequested, StopRequested
from bindery.domain.sessions import SessionOrder, SessionState
from tests.fakes.in_memory_system import Small

LATER = 61.0


def sweep(small: Small, seconds: float = LATER) -> None:
    small.clock.advance(seconds)
    small.system.reconcile()


@pytest.mark.parametrize("lost", range(6))
def test_a_launch_becomes_ready_despite_any_lost_message(small: Small, lost: int) -> None:
    launch = small.open()
    for n in range(40):
        if not small.queue.sent:
            running = small.builds.running()
            if running:
                small.builds.finish(running[0])
            else:
                sweep(small)
            continue
        message = small.queue.pop()
        if n != lost:
            small.handle(message)
    assert small.launch(launch).stage is Stage.READY
    assert len(small.builds.started) == 1


@pytest.mark.parametrize("stage", [Stage.RESOLVING, Stage.BUILDING, Stage.STARTING])
def test_a_launch_over_its_deadline_ends_at_the_next_sweep(small: Small, stage: Stage) -> None:
    if stage is Stage.STARTING:
        small.ready()
    launch = small.open()
    if stage is not Stage.RESOLVING:
        small.handle(small.queue.pop())
    assert small.launch(launch).stage is stage
    small.take()
    sweep(small, 1201)
    failure = small.launch(launch).failure
    assert failure
    assert (failure.kind, failure.facts) == ("DeadlinePassed", {"minutes": 20})


def test_after_a_crash_that_lost_all_messages_all_launches_continue_at_once(small: Small) -> None:
    resolving, building = small.open(), small.open("o/r/HEAD")
    small.handle(small.queue.pop(1))
    small.take()
    small.system.reconcile(ahead=1e9)
    small.build()
    assert {small.launch(launch).stage for launch in (resolving, building)} == {Stage.READY}


def test_the_start_of_a_build_that_was_never_started_is_sent_again(small: Small) -> None:
    launch = small.open()
    small.handle(small.queue.pop())
    order = small.queue.pop()
    small.system.stop_launch(launch.id)  # No other launch asks for the build.
    sweep(small)
    assert order in [sent.message for sent in small.queue.sent]


def test_a_build_over_its_limit_is_stopped(small: Small) -> None:
    launch = small.open()
    small.pump()
    key = small.launch(launch).environment
    sweep(small, 721)
    small.pump()
    assert small.builds.reports[f"{key}-1"].state.value == "failed"
    assert small.launch(launch).stage is Stage.FAILED


def test_an_object_without_a_record_is_stopped_after_a_minimum_age(small: Small) -> None:
    order = small.ready().id
    stray = small.launcher.running[order].order.model_copy(update={"id": "stray"})
    small.launcher.start(SessionOrder.model_validate(stray))
    sweep(small, 30)
    assert "stray" in small.launcher.running
    sweep(small, 31)
    assert set(small.launcher.running) == {order}


def test_a_reappearing_object_of_an_ended_session_is_stopped(small: Small) -> None:
    launch = small.ready()
    order = small.launcher.running[launch.id].order
    small.handle(StopRequested(session=launch.id, reason="for a test"))
    small.launcher.start(order)
    sweep(small)
    assert small.launcher.running == {}


def test_a_running_session_without_an_object_ends(small: Small) -> None:
    launch = small.ready()
    del small.launcher.running[launch.id]
    sweep(small)
    small.pump()
    assert (small.session(launch).state, small.session(launch).reason) == (SessionState.ENDED, "its server ended")
    assert small.system.state.quotas.taken() == 0


def test_a_running_session_with_a_dead_server_ends_even_if_its_files_remain(small: Small) -> None:
    launch = small.ready()
    small.launcher.die(launch.id, why="")
    sweep(small)
    small.pump()
    assert (small.session(launch).state, small.session(launch).reason) == (SessionState.ENDED, "its server ended")


def test_a_session_ends_with_the_reason_of_its_launcher(small: Small) -> None:
    launch = small.ready()
    small.launcher.die(launch.id, why="it used more memory than it may (2G)")
    sweep(small)
    small.pump()
    assert small.session(launch).reason == "it used more memory than it may (2G)"
    assert small.launcher.running == {}


def test_remains_of_a_dead_server_without_a_record_are_removed(small: Small) -> None:
    order = small.launcher.running[small.ready().id].order
    small.launcher.start(order.model_copy(update={"id": "stray"}))
    small.launcher.die("stray")
    sweep(small)
    assert set(small.launcher.running) == {order.id}


def test_a_session_opened_after_the_list_was_read_is_not_stopped(small: Small) -> None:
    """The session opens after the cluster was listed, and its record is read only much later."""
    small.ready()
    opened = small.open()
    launches: list[Launch] = []

    def slow_after_the_list(operation: str, keys: object) -> None:
        if launches or operation != "due" or "session#" not in str(keys):
            return
        launches.append(opened)
        small.pump()
        small.clock.advance(200)

    def listed(operation: str, session: str) -> None:
        if operation == "list":
            small.table.before = slow_after_the_list

    small.launcher.before = listed
    sweep(small, 61)
    small.table.before = lambda operation, keys: None
    small.pump()
    assert launches
    assert small.session(opened).state is SessionState.RUNNING


def test_a_lost_stop_is_sent_again(small: Small) -> None:
    small.ready()
    launch = small.open()
    small.launcher.looks = 1
    small.handle(small.queue.pop())
    small.handle(small.queue.pop())
    small.system.stop_launch(launch.id)
    assert small.take()  # These messages are lost, among them the stops.
    assert small.session(launch).state is SessionState.STARTING
    sweep(small, 1)
    small.pump()
    assert small.session(launch).state is SessionState.ENDED
    assert launch.id not in small.launcher.running


def test_an_incomplete_stop_is_completed(small: Small) -> None:
    launch = small.ready()
    small.system.state.sessions.stopping(launch.id, "for a test")
    sweep(small, 1)
    assert small.queue.pop() == StopRequested(session=launch.id, reason="for a test")


def test_an_unreachable_cluster_does_not_prevent_launches_from_ending(small: Small) -> None:
    launch = small.open()
    small.take()

    def down(operation: str, session: str) -> None:
        raise LauncherDown(why="no cluster")

    small.launcher.before = down
    sweep(small, 1201)
    assert small.launch(launch).stage is Stage.FAILED


def test_an_error_with_one_launch_does_not_prevent_others_from_ending(small: Small) -> None:
    launches = [small.open() for _ in range(8)]
    small.take()

    def troubled(operation: str, keys: object) -> None:
        if operation == "get" and f"launch#{launches[0].id}" in str(keys):
            raise Throttled

    small.table.before = troubled
    sweep(small, 1201)
    small.table.before = lambda operation, keys: None
    assert not small.launch(launches[0]).ended
    assert all(small.launch(launch).ended for launch in launches[1:])


def test_an_object_that_cannot_be_stopped_does_not_block_others(small: Small) -> None:
    template = small.launcher.running[small.ready().id].order
    for name in ("a", "b", "c"):
        small.launcher.start(template.model_copy(update={"id": name}))

    def stuck(operation: str, session: str) -> None:
        if (operation, session) == ("stop", "a"):
            raise LauncherDown(why="cannot be ended")

    small.launcher.before = stuck
    sweep(small)
    assert {"b", "c"}.isdisjoint(small.launcher.running)


def test_more_launches_than_a_page_end_in_one_sweep(small: Small) -> None:
    launches = [small.open() for _ in range(500)]
    small.take()
    sweep(small, 1201)
    assert all(small.launch(launch).ended for launch in launches)


def test_a_wrong_counter_is_corrected_after_a_second_check(small: Small) -> None:
    small.ready()
    (counter,) = small.system.state.quotas.counters()
    small.table.put(counter.with_data({"taken": 7}))
    sweep(small, 1)
    assert small.system.state.quotas.taken() == 7
    sweep(small, 1)  # The timer fired twice.
    assert small.system.state.quotas.taken() == 7
    sweep(small, 60)
    assert small.system.state.quotas.taken() == 1


def test_a_counter_that_changed_between_checks_is_not_corrected(small: Small) -> None:
    small.ready()
    (counter,) = small.system.state.quotas.counters()
    small.table.put(counter.with_data({"taken": 7}))
    sweep(small, 1)
    (counter,) = small.system.state.quotas.counters()
    small.table.put(counter.with_data({"taken": 8}))
    sweep(small, 60)
    assert small.system.state.quotas.taken() == 8


def test_without_faults_no_message_is_sent(small: Small) -> None:
    small.ready()
    sweep(small)
    assert small.queue.sent == []


def test_a_waiting_launch_sends_no_message_while_its_build_runs(small: Small) -> None:
    small.open()
    small.pump()
    sweep(small)
    assert not [sent for sent in small.queue.sent if isinstance(sent.message, BuildRequested)]
    assert small.queue.sent == []
