"""Dead letters of every kind, and the ends of launches."""

import json

import pytest

from bindery.domain.errors import LaunchStopped
from bindery.domain.launch import Stage
from bindery.domain.messages import BuildRequested, ResolveRequested, SessionRequested, StopRequested
from bindery.domain.sessions import SessionState
from tests.fakes.in_memory_system import Small


def test_a_dead_letter_of_a_step_ends_its_launch_with_a_reason(small: Small) -> None:
    launch = small.open()
    small.system.fail_launch(small.queue.pop().model_dump_json())
    failure = small.launch(launch).failure
    assert failure
    assert (failure.kind, failure.facts) == ("StepFailed", {"trouble": "a step that crashed"})


def test_a_dead_letter_of_a_past_step_changes_nothing(small: Small) -> None:
    launch = small.ready()
    small.system.fail_launch(ResolveRequested(launch=launch.id, step=0).model_dump_json())
    assert small.launch(launch) == launch
    waiting = small.open()
    small.system.fail_launch(SessionRequested(launch=waiting.id, step=4).model_dump_json())
    assert not small.launch(waiting).ended


@pytest.mark.parametrize(
    "body",
    [
        {"version": 2, "launch": "LAUNCH", "step": 0},
        {"version": 9, "launch": "LAUNCH", "step": {"number": 0}, "more": [1, 2]},
        {"launch": "LAUNCH"},
        {"launch": "LAUNCH", "step": "zero", "environment": 7, "session": ["x"]},
    ],
)
def test_a_message_of_an_unknown_version_ends_its_launch(small: Small, body: dict[str, object]) -> None:
    launch = small.open()
    small.system.fail_launch(json.dumps(body).replace("LAUNCH", launch.id))
    assert small.launch(launch).stage is Stage.FAILED


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
def test_an_invalid_dead_letter_changes_nothing(small: Small, body: str) -> None:
    launch = small.open()
    small.system.fail_launch(body)
    assert not small.launch(launch).ended


def test_a_build_that_could_not_be_started_ends_its_waiting_launches(small: Small) -> None:
    first, second = small.open(), small.open()
    small.handle(small.queue.pop(0))
    small.handle(small.queue.pop(0))
    (order,) = {sent.message for sent in small.take()}
    small.system.fail_launch(order.model_dump_json())
    for launch in (first, second):
        failure = small.launch(launch).failure
        assert failure
        assert failure.facts == {"trouble": "the build could not be started"}
    assert small.waiters(small.launch(first).environment) == []


def test_a_build_whose_start_was_not_recorded_does_not_count_as_ended(small: Small) -> None:
    """The build may run although its start could not be recorded, so a second build must not start at the same time."""
    launch = small.open()
    small.handle(small.queue.pop())
    order = small.queue.pop()
    small.handle(order)
    item = small.table.get(f"build#{small.launch(launch).environment}#1", "attempt")
    assert item
    small.table.delete(item)  # Each run of the function crashed before it could record the handle.
    small.system.fail_launch(order.model_dump_json())
    later = small.open()
    small.pump()
    assert small.launch(later).attempt == 1
    assert len(small.builds.started) == 1
    small.clock.advance(61)
    small.system.reconcile()
    small.build()
    assert small.launch(later).stage is Stage.READY


def test_a_dead_letter_for_a_running_build_changes_nothing(small: Small) -> None:
    launch = small.open()
    small.pump()
    before = small.launch(launch)
    order = BuildRequested(environment=before.environment, attempt=1)
    small.system.fail_launch(order.model_dump_json())
    assert small.launch(launch) == before


def test_a_dead_letter_of_a_stop_leaves_the_session_to_reconcile(small: Small) -> None:
    launch = small.ready()
    small.system.fail_launch(StopRequested(session=launch.id, reason="x").model_dump_json())
    assert small.session(launch).state is SessionState.RUNNING


def test_an_ended_launch_is_not_changed(small: Small) -> None:
    launch = small.ready()
    small.system.end_launch(launch.id, LaunchStopped())
    assert small.launch(launch) == launch


def test_failing_a_launch_again_repeats_the_stop_of_its_session(small: Small) -> None:
    """The first handler died between writing the end and sending the stop."""
    small.ready()
    launch = small.open()
    small.launcher.looks = 1
    small.handle(small.queue.pop())
    small.handle(small.queue.pop())
    small.system.end_launch(launch.id, LaunchStopped())
    small.take()
    small.system.end_launch(launch.id, LaunchStopped())
    assert [sent.message for sent in small.take()] == [StopRequested(session=launch.id, reason="its launch failed")]


def test_a_ready_launch_can_be_stopped_twice(small: Small) -> None:
    launch = small.ready()
    small.system.stop_launch(launch.id)
    small.system.stop_launch(launch.id)
    small.pump()
    assert small.session(launch).state is SessionState.ENDED
    assert small.session(launch).token == ""
    assert small.system.state.quotas.taken() == 0
    assert small.launch(launch) == launch


def test_stopping_a_running_launch_fails_it_as_stopped(small: Small) -> None:
    launch = small.open()
    small.system.stop_launch(launch.id)
    failure = small.launch(launch).failure
    assert failure
    assert failure.kind == "LaunchStopped"
    small.pump()
    assert small.launcher.started == []


def test_each_end_of_a_launch_is_counted_once(small: Small) -> None:
    launch = small.open()
    small.system.stop_launch(launch.id)
    small.system.stop_launch(launch.id)
    small.ready()
    small.system.reconcile()
    popular = small.system.popular.today().sums()["binderhub_launch_count"]
    others = small.system.state.counters.read()["binderhub_launch_count"]
    counted = [(dict(labels)["status"], n) for sums in (popular, others) for labels, n in sums.items()]
    assert counted == [("success", 1), ("failure", 1)]
