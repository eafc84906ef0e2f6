"""The way from a spec to an image, to a build, or to a place among the launches that wait for a build."""

import pytest

from bindery.domain.errors import HostUnreachable
from bindery.domain.launch import Phase, Stage
from bindery.domain.messages import BuildRequested, ResolveRequested, SessionRequested
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import Small

NEWER = "f" * 40


def test_a_new_environment_is_claimed_and_its_build_is_requested(small: Small) -> None:
    launch = small.open()
    small.handle(small.queue.pop())
    now = small.launch(launch)
    assert (now.stage, now.attempt, now.step) == (Stage.BUILDING, 1, 1)
    assert [sent.message for sent in small.take()] == [BuildRequested(environment=now.environment, attempt=1)]
    assert small.waiters(now.environment) == [launch.id]


def test_a_second_launch_waits_for_the_same_attempt_without_another_build(small: Small) -> None:
    first, second = small.open(), small.open()
    small.handle(small.queue.pop())
    small.handle(small.queue.pop(0))
    small.pump()
    assert len(small.builds.started) == 1
    assert small.launch(second).environment == small.launch(first).environment
    assert set(small.waiters(small.launch(first).environment)) == {first.id, second.id}


def test_an_existing_image_is_used_without_a_build(small: Small) -> None:
    small.ready()
    launch = small.open()
    small.handle(small.queue.pop())
    now = small.launch(launch)
    assert now.stage is Stage.STARTING
    assert [event.phase for event in now.events] == [Phase.BUILT]
    assert [sent.message for sent in small.take()] == [SessionRequested(launch=launch.id, step=1)]


def test_a_new_commit_with_the_same_configuration_uses_the_same_image(small: Small) -> None:
    small.ready()
    small.host.heads["o/r"] = NEWER
    small.host.files[NEWER] = {**(small.host.files[COMMIT] or {}), "README.md": b"changed\n"}
    launch = small.ready()
    assert len(small.builds.started) == 1
    assert launch.repository
    assert launch.repository.ref == NEWER


def test_without_a_tree_the_commit_is_the_key(small: Small) -> None:
    small.host.files[COMMIT] = None
    first = small.ready()
    small.host.heads["o/r"], small.host.files[NEWER] = NEWER, None
    assert small.ready().environment != first.environment


def test_a_missing_image_is_built_again(small: Small) -> None:
    first = small.ready()
    small.builds.images.clear()
    second = small.ready()
    assert (second.environment, second.attempt) == (first.environment, 2)
    assert [order.attempt for order in small.builds.started] == [1, 2]


def test_a_failed_build_is_retried_by_the_next_launch(small: Small) -> None:
    launch = small.open()
    small.pump()
    small.builds.stop(f"{small.launch(launch).environment}-1")
    small.pump()
    assert small.launch(launch).stage is Stage.FAILED
    assert small.ready().attempt == 2


def test_a_repeated_message_only_ensures_the_next_step(small: Small) -> None:
    launch = small.open()
    message = small.queue.pop()
    small.handle(message)
    before = small.launch(launch)
    small.handle(message)
    assert small.launch(launch) == before
    assert small.host.resolved == 1
    small.build()
    assert len(small.builds.started) == 1
    assert small.launch(launch).stage is Stage.READY


def test_a_very_late_message_changes_nothing(small: Small) -> None:
    launch = small.ready()
    small.handle(ResolveRequested(launch=launch.id, step=0))
    assert small.launch(launch) == launch
    assert small.queue.sent == []


def test_a_note_of_the_provider_is_shown(small: Small) -> None:
    small.host.note = "There is no master: using HEAD."
    launch = small.open()
    small.pump()
    assert small.launch(launch).events[0].message == "There is no master: using HEAD.\n"


def test_an_unreachable_host_is_retried_after_1_and_4_seconds_and_then_reported(small: Small) -> None:
    small.host.trouble = HostUnreachable(host="host.example", why="no answer")
    launch = small.open()
    delays = []
    while small.queue.sent:
        delays.append(small.queue.sent[0].delay)
        small.handle(small.queue.pop())
    assert delays == [0, 1, 4]
    now = small.launch(launch)
    assert now.failure
    assert (now.stage, now.failure.kind) == (Stage.FAILED, "HostUnreachable")


def test_a_permanent_error_is_reported_at_once(small: Small) -> None:
    launch = small.open("o/unknown/HEAD")
    small.handle(small.queue.pop())
    now = small.launch(launch)
    assert now.failure
    assert (now.failure.kind, small.queue.sent) == ("RefNotFound", [])


def test_a_full_instance_builds_nothing() -> None:
    small = Small(quota_total=1)
    small.ready()
    small.host.files[NEWER] = {"requirements.txt": b"pandas\n"}
    small.host.heads["o/other"] = NEWER
    launch = small.open("o/other/HEAD")
    small.pump()
    failure = small.launch(launch).failure
    assert failure
    assert failure.kind == "QuotaReached"
    assert len(small.builds.started) == 1


def test_a_launch_with_a_reserved_place_is_resolved_again_on_a_full_instance() -> None:
    small = Small(quota_total=1)
    launch = small.open()
    small.pump()
    small.builds.finish(f"{small.launch(launch).environment}-1")
    small.launcher.gone.add(f"fake/{small.launch(launch).environment}-1")
    small.builds.images.clear()
    small.pump()
    assert small.launch(launch).attempt == 2
    small.build()
    assert small.launch(launch).stage is Stage.READY


def test_a_claim_whose_handler_died_is_still_built(small: Small) -> None:
    """The claim was written but the launch was not moved, so the message comes again."""
    launch = small.open()
    message = small.queue.pop()
    moved = 0

    def die_at_the_launch(operation: str, keys: object) -> None:
        nonlocal moved
        if operation == "put" and str(keys).startswith("['launch#") and not moved:
            moved += 1
            raise KeyboardInterrupt

    small.table.before = die_at_the_launch
    with pytest.raises(KeyboardInterrupt):
        small.handle(message)
    assert small.launch(launch).stage is Stage.RESOLVING
    small.handle(message)
    small.build()
    assert (len(small.builds.started), small.launch(launch).stage) == (1, Stage.READY)
