"""Dead letters of every kind, and the ends of launches."""

import json

import pytest

from bindery.domain.errors import LaunchStopped
from bindery.domain.launch import Stage
from bindery.domain.messages import BuildRequested, ResolveRequested, SessionRequested, StopRequested
from bindery.domain.sessions import SessionState
from tests.fakes.in_memory_system import InMemorySystem


def test_a_dead_letter_of_a_step_ends_its_launch_with_a_reason(system: InMemorySystem) -> None:
    launch = system.open()
    system.bindery.fail_launch(system.queue.pop().model_dump_json())
    failure = system.launch(launch).failure
    assert failure
    assert (failure.kind, failure.facts) == ("StepFailed", {"trouble": "a step that crashed"})


def test_a_dead_letter_of_a_past_step_changes_nothing(system: InMemorySystem) -> None:
    launch = system.ready()
    system.bindery.fail_launch(ResolveRequested(launch=launch.id, step=0).model_dump_json())
    assert system.launch(launch) == launch
    waiting = system.open()
    system.bindery.fail_launch(SessionRequested(launch=waiting.id, step=4).model_dump_json())
    assert not system.launch(waiting).ended


@pytest.mark.parametrize(
    "body",
    [
        {"version": 2, "launch": "LAUNCH", "step": 0},
        {"version": 9, "launch": "LAUNCH", "step": {"number": 0}, "more": [1, 2]},
        {"launch": "LAUNCH"},
        {"launch": "LAUNCH", "step": "zero", "environment": 7, "session": ["x"]},
    ],
)
def test_a_message_of_an_unknown_version_ends_its_launch(system: InMemorySystem, body: dict[str, object]) -> None:
    launch = system.open()
    system.bindery.fail_launch(json.dumps(body).replace("LAUNCH", launch.id))
    assert system.launch(launch).stage is Stage.FAILED


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '"launch"',
        "7",
        "{}",
        '{"launch": null}',
        '{"launch": ["x"]}',
        '{"launch": ""}',
        '{"launch": "never heard of"}',
        json.dumps({"launch": "x" * 5000}),
        '{"environment": "e", "attempt": true}',
        '{"environment": "e"}',
        '{"environment": "never heard of", "attempt": 3}',
        "[" * 100_000,
        "\0",
    ],
)
def test_an_invalid_dead_letter_changes_nothing(system: InMemorySystem, body: str) -> None:
    launch = system.open()
    system.bindery.fail_launch(body)
    assert not system.launch(launch).ended


def test_a_build_that_could_not_be_started_ends_its_waiting_launches(system: InMemorySystem) -> None:
    first, second = system.open(), system.open()
    system.handle(system.queue.pop(0))
    system.handle(system.queue.pop(0))
    (order,) = {sent.message for sent in system.take()}
    system.bindery.fail_launch(order.model_dump_json())
    for launch in (first, second):
        failure = system.launch(launch).failure
        assert failure
        assert failure.facts == {"trouble": "the build could not be started"}
    assert system.waiters(system.launch(first).environment) == []


def test_a_build_whose_start_was_not_recorded_does_not_count_as_ended(system: InMemorySystem) -> None:
    """The build may run although its start could not be recorded, so a second build must not start at the same time."""
    launch = system.open()
    system.handle(system.queue.pop())
    order = system.queue.pop()
    system.handle(order)
    item = system.table.get(f"build#{system.launch(launch).environment}#1", "attempt")
    assert item
    system.table.delete(item)  # Each run of the function crashed before it could record the handle.
    system.bindery.fail_launch(order.model_dump_json())
    later = system.open()
    system.pump()
    assert system.launch(later).attempt == 1
    assert len(system.builds.started) == 1
    system.clock.advance(61)
    system.bindery.reconcile()
    system.build()
    assert system.launch(later).stage is Stage.READY


def test_a_dead_letter_for_a_running_build_changes_nothing(system: InMemorySystem) -> None:
    launch = system.open()
    system.pump()
    before = system.launch(launch)
    order = BuildRequested(environment=before.environment, attempt=1)
    system.bindery.fail_launch(order.model_dump_json())
    assert system.launch(launch) == before


def test_a_dead_letter_of_a_stop_leaves_the_session_to_reconcile(system: InMemorySystem) -> None:
    launch = system.ready()
    system.bindery.fail_launch(StopRequested(session=launch.id, reason="x").model_dump_json())
    assert system.session(launch).state is SessionState.RUNNING


def test_an_ended_launch_is_not_changed(system: InMemorySystem) -> None:
    launch = system.ready()
    system.bindery.end_launch(launch.id, LaunchStopped())
    assert system.launch(launch) == launch


def test_failing_a_launch_again_repeats_the_stop_of_its_session(system: InMemorySystem) -> None:
    """The first handler died between writing the end and sending the stop."""
    system.ready()
    launch = system.open()
    system.launcher.looks = 1
    system.handle(system.queue.pop())
    system.handle(system.queue.pop())
    system.bindery.end_launch(launch.id, LaunchStopped())
    system.take()
    system.bindery.end_launch(launch.id, LaunchStopped())
    assert [sent.message for sent in system.take()] == [StopRequested(session=launch.id, reason="its launch failed")]


def test_a_ready_launch_can_be_stopped_twice(system: InMemorySystem) -> None:
    launch = system.ready()
    system.bindery.stop_launch(launch.id)
    system.bindery.stop_launch(launch.id)
    system.pump()
    assert system.session(launch).state is SessionState.ENDED
    assert system.session(launch).token == ""
    assert system.bindery.state.quotas.taken() == 0
    assert system.launch(launch) == launch


def test_stopping_a_running_launch_fails_it_as_stopped(system: InMemorySystem) -> None:
    launch = system.open()
    system.bindery.stop_launch(launch.id)
    failure = system.launch(launch).failure
    assert failure
    assert failure.kind == "LaunchStopped"
    system.pump()
    assert system.launcher.started == []


def test_each_end_of_a_launch_is_counted_once(system: InMemorySystem) -> None:
    launch = system.open()
    system.bindery.stop_launch(launch.id)
    system.bindery.stop_launch(launch.id)
    system.ready()
    system.bindery.reconcile()
    popular = system.bindery.popular.today().sums()["binderhub_launch_count"]
    others = system.bindery.state.counters.read()["binderhub_launch_count"]
    counted = [(dict(labels)["status"], n) for sums in (popular, others) for labels, n in sums.items()]
    assert counted == [("success", 1), ("failure", 1)]
