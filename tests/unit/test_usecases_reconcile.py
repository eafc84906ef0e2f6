"""Repairs by the sweep. Lost messages are sent again, stuck launches continue or fail, and leftovers are removed."""

import pytest

from bindery.domain.errors import LauncherDown, Throttled
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildRequested, StopRequested
from bindery.domain.sessions import SessionOrder, SessionState
from tests.fakes.in_memory_system import InMemorySystem

LATER = 61.0


def sweep(system: InMemorySystem, seconds: float = LATER) -> None:
    system.clock.advance(seconds)
    system.bindery.reconcile()


@pytest.mark.parametrize("lost", range(6))
def test_a_launch_becomes_ready_despite_any_lost_message(system: InMemorySystem, lost: int) -> None:
    launch = system.open()
    for n in range(40):
        if not system.queue.sent:
            running = system.builds.running()
            if running:
                system.builds.finish(running[0])
            else:
                sweep(system)
            continue
        message = system.queue.pop()
        if n != lost:
            system.handle(message)
    assert system.launch(launch).stage is Stage.READY
    assert len(system.builds.started) == 1


@pytest.mark.parametrize("stage", [Stage.RESOLVING, Stage.BUILDING, Stage.STARTING])
def test_a_launch_over_its_deadline_ends_at_the_next_sweep(system: InMemorySystem, stage: Stage) -> None:
    if stage is Stage.STARTING:
        system.ready()
    launch = system.open()
    if stage is not Stage.RESOLVING:
        system.handle(system.queue.pop())
    assert system.launch(launch).stage is stage
    system.take()
    sweep(system, 1201)
    failure = system.launch(launch).failure
    assert failure
    assert (failure.kind, failure.facts) == ("DeadlinePassed", {"minutes": 20})


def test_after_a_crash_that_lost_all_messages_all_launches_continue_at_once(system: InMemorySystem) -> None:
    resolving, building = system.open(), system.open("o/r/HEAD")
    system.handle(system.queue.pop(1))
    system.take()
    system.bindery.reconcile(ahead=1e9)
    system.build()
    assert {system.launch(launch).stage for launch in (resolving, building)} == {Stage.READY}


def test_the_start_of_a_build_that_was_never_started_is_sent_again(system: InMemorySystem) -> None:
    launch = system.open()
    system.handle(system.queue.pop())
    order = system.queue.pop()
    system.bindery.stop_launch(launch.id)  # No other launch asks for the build.
    sweep(system)
    assert order in [sent.message for sent in system.queue.sent]


def test_a_build_over_its_limit_is_stopped(system: InMemorySystem) -> None:
    launch = system.open()
    system.pump()
    key = system.launch(launch).environment
    sweep(system, 721)
    system.pump()
    assert system.builds.reports[f"{key}-1"].state.value == "failed"
    assert system.launch(launch).stage is Stage.FAILED


def test_an_object_without_a_record_is_stopped_after_a_minimum_age(system: InMemorySystem) -> None:
    order = system.ready().id
    stray = system.launcher.running[order].order.model_copy(update={"id": "stray"})
    system.launcher.start(SessionOrder.model_validate(stray))
    sweep(system, 30)
    assert "stray" in system.launcher.running
    sweep(system, 31)
    assert set(system.launcher.running) == {order}


def test_a_reappearing_object_of_an_ended_session_is_stopped(system: InMemorySystem) -> None:
    launch = system.ready()
    order = system.launcher.running[launch.id].order
    system.handle(StopRequested(session=launch.id, reason="for a test"))
    system.launcher.start(order)
    sweep(system)
    assert system.launcher.running == {}


def test_a_running_session_without_an_object_ends(system: InMemorySystem) -> None:
    launch = system.ready()
    del system.launcher.running[launch.id]
    sweep(system)
    system.pump()
    assert (system.session(launch).state, system.session(launch).reason) == (SessionState.ENDED, "its server ended")
    assert system.bindery.state.quotas.taken() == 0


def test_a_running_session_with_a_dead_server_ends_even_if_its_files_remain(system: InMemorySystem) -> None:
    launch = system.ready()
    system.launcher.die(launch.id, why="")
    sweep(system)
    system.pump()
    assert (system.session(launch).state, system.session(launch).reason) == (SessionState.ENDED, "its server ended")


def test_a_session_ends_with_the_reason_of_its_launcher(system: InMemorySystem) -> None:
    launch = system.ready()
    system.launcher.die(launch.id, why="it used more memory than it may (2G)")
    sweep(system)
    system.pump()
    assert system.session(launch).reason == "it used more memory than it may (2G)"
    assert system.launcher.running == {}


def test_remains_of_a_dead_server_without_a_record_are_removed(system: InMemorySystem) -> None:
    order = system.launcher.running[system.ready().id].order
    system.launcher.start(order.model_copy(update={"id": "stray"}))
    system.launcher.die("stray")
    sweep(system)
    assert set(system.launcher.running) == {order.id}


def test_a_session_opened_after_the_list_was_read_is_not_stopped(system: InMemorySystem) -> None:
    """The session opens after the cluster was listed, and its record is read only much later."""
    system.ready()
    opened = system.open()
    launches: list[Launch] = []

    def slow_after_the_list(operation: str, keys: object) -> None:
        if launches or operation != "due" or "session#" not in str(keys):
            return
        launches.append(opened)
        system.pump()
        system.clock.advance(200)

    def listed(operation: str, session: str) -> None:
        if operation == "list":
            system.table.before = slow_after_the_list

    system.launcher.before = listed
    sweep(system, 61)
    system.table.before = lambda operation, keys: None
    system.pump()
    assert launches
    assert system.session(opened).state is SessionState.RUNNING


def test_a_lost_stop_is_sent_again(system: InMemorySystem) -> None:
    system.ready()
    launch = system.open()
    system.launcher.looks = 1
    system.handle(system.queue.pop())
    system.handle(system.queue.pop())
    system.bindery.stop_launch(launch.id)
    assert system.take()  # These messages are lost, among them the stops.
    assert system.session(launch).state is SessionState.STARTING
    sweep(system, 1)
    system.pump()
    assert system.session(launch).state is SessionState.ENDED
    assert launch.id not in system.launcher.running


def test_an_incomplete_stop_is_completed(system: InMemorySystem) -> None:
    launch = system.ready()
    system.bindery.state.sessions.mark_stopping(launch.id, "for a test")
    sweep(system, 1)
    assert system.queue.pop() == StopRequested(session=launch.id, reason="for a test")


def test_an_unreachable_cluster_does_not_prevent_launches_from_ending(system: InMemorySystem) -> None:
    launch = system.open()
    system.take()

    def down(operation: str, session: str) -> None:
        raise LauncherDown(why="no cluster")

    system.launcher.before = down
    sweep(system, 1201)
    assert system.launch(launch).stage is Stage.FAILED


def test_an_error_with_one_launch_does_not_prevent_others_from_ending(system: InMemorySystem) -> None:
    launches = [system.open() for _ in range(8)]
    system.take()

    def troubled(operation: str, keys: object) -> None:
        if operation == "get" and f"launch#{launches[0].id}" in str(keys):
            raise Throttled

    system.table.before = troubled
    sweep(system, 1201)
    system.table.before = lambda operation, keys: None
    assert not system.launch(launches[0]).ended
    assert all(system.launch(launch).ended for launch in launches[1:])


def test_an_object_that_cannot_be_stopped_does_not_block_others(system: InMemorySystem) -> None:
    template = system.launcher.running[system.ready().id].order
    for name in ("a", "b", "c"):
        system.launcher.start(template.model_copy(update={"id": name}))

    def stuck(operation: str, session: str) -> None:
        if (operation, session) == ("stop", "a"):
            raise LauncherDown(why="cannot be ended")

    system.launcher.before = stuck
    sweep(system)
    assert {"b", "c"}.isdisjoint(system.launcher.running)


def test_more_launches_than_a_page_end_in_one_sweep(system: InMemorySystem) -> None:
    launches = [system.open() for _ in range(500)]
    system.take()
    sweep(system, 1201)
    assert all(system.launch(launch).ended for launch in launches)


def test_a_wrong_counter_is_corrected_after_a_second_check(system: InMemorySystem) -> None:
    system.ready()
    (counter,) = system.bindery.state.quotas.counters()
    system.table.put(counter.with_data({"taken": 7}))
    sweep(system, 1)
    assert system.bindery.state.quotas.taken() == 7
    sweep(system, 1)  # The timer fired twice.
    assert system.bindery.state.quotas.taken() == 7
    sweep(system, 60)
    assert system.bindery.state.quotas.taken() == 1


def test_a_counter_that_changed_between_checks_is_not_corrected(system: InMemorySystem) -> None:
    system.ready()
    (counter,) = system.bindery.state.quotas.counters()
    system.table.put(counter.with_data({"taken": 7}))
    sweep(system, 1)
    (counter,) = system.bindery.state.quotas.counters()
    system.table.put(counter.with_data({"taken": 8}))
    sweep(system, 60)
    assert system.bindery.state.quotas.taken() == 8


def test_without_faults_no_message_is_sent(system: InMemorySystem) -> None:
    system.ready()
    sweep(system)
    assert system.queue.sent == []


def test_a_waiting_launch_sends_no_message_while_its_build_runs(system: InMemorySystem) -> None:
    system.open()
    system.pump()
    sweep(system)
    assert not [sent for sent in system.queue.sent if isinstance(sent.message, BuildRequested)]
    assert system.queue.sent == []
