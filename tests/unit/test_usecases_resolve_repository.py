"""The way from a spec to an image, to a build, or to a place among the launches that wait for a build."""

import pytest

from bindery.domain.errors import HostUnreachable
from bindery.domain.launch import Phase, Stage
from bindery.domain.messages import BuildRequested, ResolveRequested, SessionRequested
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import InMemorySystem

NEWER = "f" * 40


def test_a_new_environment_is_claimed_and_its_build_is_requested(system: InMemorySystem) -> None:
    launch = system.open()
    system.handle(system.queue.pop())
    now = system.launch(launch)
    assert (now.stage, now.attempt, now.step) == (Stage.BUILDING, 1, 1)
    assert [sent.message for sent in system.take()] == [BuildRequested(environment=now.environment, attempt=1)]
    assert system.waiters(now.environment) == [launch.id]


def test_a_second_launch_waits_for_the_same_attempt_without_another_build(system: InMemorySystem) -> None:
    first, second = system.open(), system.open()
    system.handle(system.queue.pop())
    system.handle(system.queue.pop(0))
    system.pump()
    assert len(system.builds.started) == 1
    assert system.launch(second).environment == system.launch(first).environment
    assert set(system.waiters(system.launch(first).environment)) == {first.id, second.id}


def test_an_existing_image_is_used_without_a_build(system: InMemorySystem) -> None:
    system.ready()
    launch = system.open()
    system.handle(system.queue.pop())
    now = system.launch(launch)
    assert now.stage is Stage.STARTING
    assert [event.phase for event in now.events] == [Phase.BUILT]
    assert [sent.message for sent in system.take()] == [SessionRequested(launch=launch.id, step=1)]


def test_a_new_commit_with_the_same_configuration_uses_the_same_image(system: InMemorySystem) -> None:
    system.ready()
    system.host.heads["o/r"] = NEWER
    system.host.files[NEWER] = {**(system.host.files[COMMIT] or {}), "README.md": b"changed\n"}
    launch = system.ready()
    assert len(system.builds.started) == 1
    assert launch.repository
    assert launch.repository.ref == NEWER


def test_without_a_tree_the_commit_is_the_key(system: InMemorySystem) -> None:
    system.host.files[COMMIT] = None
    first = system.ready()
    system.host.heads["o/r"], system.host.files[NEWER] = NEWER, None
    assert system.ready().environment != first.environment


def test_a_missing_image_is_built_again(system: InMemorySystem) -> None:
    first = system.ready()
    system.builds.images.clear()
    second = system.ready()
    assert (second.environment, second.attempt) == (first.environment, 2)
    assert [order.attempt for order in system.builds.started] == [1, 2]


def test_a_failed_build_is_retried_by_the_next_launch(system: InMemorySystem) -> None:
    launch = system.open()
    system.pump()
    system.builds.stop(f"{system.launch(launch).environment}-1")
    system.pump()
    assert system.launch(launch).stage is Stage.FAILED
    assert system.ready().attempt == 2


def test_a_repeated_message_only_ensures_the_next_step(system: InMemorySystem) -> None:
    launch = system.open()
    message = system.queue.pop()
    system.handle(message)
    before = system.launch(launch)
    system.handle(message)
    assert system.launch(launch) == before
    assert system.host.resolved == 1
    system.build()
    assert len(system.builds.started) == 1
    assert system.launch(launch).stage is Stage.READY


def test_a_very_late_message_changes_nothing(system: InMemorySystem) -> None:
    launch = system.ready()
    system.handle(ResolveRequested(launch=launch.id, step=0))
    assert system.launch(launch) == launch
    assert system.queue.sent == []


def test_a_note_of_the_provider_is_shown(system: InMemorySystem) -> None:
    system.host.note = "There is no master: using HEAD."
    launch = system.open()
    system.pump()
    assert system.launch(launch).events[0].message == "There is no master: using HEAD.\n"


def test_an_unreachable_host_is_retried_after_1_and_4_seconds_and_then_reported(system: InMemorySystem) -> None:
    system.host.trouble = HostUnreachable(host="host.example", why="no answer")
    launch = system.open()
    delays = []
    while system.queue.sent:
        delays.append(system.queue.sent[0].delay)
        system.handle(system.queue.pop())
    assert delays == [0, 1, 4]
    now = system.launch(launch)
    assert now.failure
    assert (now.stage, now.failure.kind) == (Stage.FAILED, "HostUnreachable")


def test_a_permanent_error_is_reported_at_once(system: InMemorySystem) -> None:
    launch = system.open("o/unknown/HEAD")
    system.handle(system.queue.pop())
    now = system.launch(launch)
    assert now.failure
    assert (now.failure.kind, system.queue.sent) == ("RefNotFound", [])


def test_a_full_instance_builds_nothing() -> None:
    system = InMemorySystem(quota_total=1)
    system.ready()
    system.host.files[NEWER] = {"requirements.txt": b"pandas\n"}
    system.host.heads["o/other"] = NEWER
    launch = system.open("o/other/HEAD")
    system.pump()
    failure = system.launch(launch).failure
    assert failure
    assert failure.kind == "QuotaReached"
    assert len(system.builds.started) == 1


def test_a_launch_with_a_reserved_place_is_resolved_again_on_a_full_instance() -> None:
    system = InMemorySystem(quota_total=1)
    launch = system.open()
    system.pump()
    system.builds.finish(f"{system.launch(launch).environment}-1")
    system.launcher.gone.add(f"fake/{system.launch(launch).environment}-1")
    system.builds.images.clear()
    system.pump()
    assert system.launch(launch).attempt == 2
    system.build()
    assert system.launch(launch).stage is Stage.READY


def test_a_claim_whose_handler_died_is_still_built(system: InMemorySystem) -> None:
    """The claim was written but the launch was not moved, so the message comes again."""
    launch = system.open()
    message = system.queue.pop()
    moved = 0

    def die_at_the_launch(operation: str, keys: object) -> None:
        nonlocal moved
        if operation == "put" and str(keys).startswith("['launch#") and not moved:
            moved += 1
            raise KeyboardInterrupt

    system.table.before = die_at_the_launch
    with pytest.raises(KeyboardInterrupt):
        system.handle(message)
    assert system.launch(launch).stage is Stage.RESOLVING
    system.handle(message)
    system.build()
    assert (len(system.builds.started), system.launch(launch).stage) == (1, Stage.READY)
