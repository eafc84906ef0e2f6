"""The way from an image to a session that answers, with a few more attempts where trouble may pass."""

import pytest

from bindery.domain.errors import (
    BinderyError,
    ClusterFull,
    ContentUnavailable,
    ImageGone,
    LauncherDown,
    SessionOutOfMemory,
)
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Phase, Stage
from bindery.domain.messages import SessionRequested, StopRequested
from bindery.domain.sessions import SessionState
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import Small


def starting(small: Small) -> Launch:
    """Return a launch with a built image and a session request in the queue."""
    small.ready()
    opened = small.open()
    small.handle(small.queue.pop())
    return small.launch(opened)


def test_phases_have_the_order_of_binderhub(small: Small) -> None:
    built, reused = small.ready(), small.ready()
    assert [event.phase for event in built.events] == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]
    assert [event.phase for event in reused.events] == [Phase.BUILT, Phase.LAUNCHING, Phase.READY]


def test_ready_is_written_together_with_the_running_session(small: Small) -> None:
    launch = small.ready()
    session = small.session(launch)
    assert (session.state, session.owner, session.id) == (SessionState.RUNNING, launch.owner, launch.session)
    assert session.url == f"http://{launch.id}.sessions.example/"
    assert len(session.token) >= 32


def test_the_session_gets_variables_about_its_repository(small: Small) -> None:
    launch = small.ready()
    assert small.launcher.running[launch.id].order.variables == {
        "BINDER_LAUNCH_HOST": "https://bindery.example/",
        "BINDER_REF_URL": f"https://host.example/o/r/tree/{COMMIT}",
        "BINDER_REPO_URL": "https://host.example/o/r",
        "BINDER_REQUEST": "v2/gh/o/r/HEAD",
        "BINDER_PERSISTENT_REQUEST": f"v2/gh/o/r/{COMMIT}",
    }


def test_a_launch_record_contains_no_token(small: Small) -> None:
    launch = small.ready()
    assert small.session(launch).token not in launch.model_dump_json()


def test_a_repeated_message_starts_one_session(small: Small) -> None:
    launch = starting(small)
    message = small.queue.pop()
    small.handle(message)
    small.handle(message)
    assert small.launcher.started.count(launch.id) == 1
    assert small.launch(launch).stage is Stage.READY
    assert small.queue.sent == []


def test_concurrent_starts_send_the_launching_event_once(small: Small) -> None:
    opened = small.open()
    small.pump()
    small.builds.finish(f"{small.launch(opened).environment}-1")
    small.handle(small.queue.pop())
    message, began = small.queue.pop(), False

    def somebody_began_first(operation: str, session: str) -> None:
        nonlocal began
        if operation == "start" and not began:
            began = True
            small.handle(message)

    raced = False

    def first(operation: str, keys: object) -> None:
        nonlocal raced
        if operation == "put" and not raced and "launch#" in str(keys):
            raced = True
            small.handle(message)

    small.launcher.before = somebody_began_first
    small.table.before = first
    small.handle(message)
    phases = [event.phase for event in small.launch(opened).events]
    assert phases == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]
    assert small.launcher.started == [opened.id]


def test_a_dying_server_is_retried_after_4_8_and_16_seconds_and_then_reported(
    small: Small,
) -> None:
    launch = starting(small)
    delays = []
    token = ""

    def die(operation: str, session: str) -> None:
        nonlocal token
        if operation == "wait":
            token = small.session(launch).token
            small.launcher.die(session, f"MemoryError\nhttp://127.0.0.1:1/?token={token}")

    small.launcher.before = die
    while small.queue.sent and isinstance(small.queue.sent[0].message, SessionRequested):
        delays.append(small.queue.sent[0].delay)
        small.handle(small.queue.pop())
    assert delays == [0, 4, 8, 16]
    now = small.launch(launch)
    assert now.failure
    assert (now.stage, now.failure.kind, now.retries) == (Stage.FAILED, "SessionDied", 3)
    assert "MemoryError" in str(now.failure.facts["why"])
    assert token not in now.model_dump_json()
    assert [event.message for event in now.events if "attempt" in event.message] == [
        f"Launch attempt {n} failed, trying again...\n" for n in (1, 2, 3)
    ]
    small.pump()
    assert small.session(launch).state is SessionState.ENDED
    assert launch.id not in small.launcher.running


def test_one_crash_of_the_server_does_not_fail_the_launch(small: Small) -> None:
    launch = starting(small)
    small.launcher.looks = 1
    small.handle(small.queue.pop())
    small.launcher.die(launch.id)
    small.launcher.looks = 0
    small.pump()
    assert (small.launch(launch).stage, small.launch(launch).retries) == (Stage.READY, 1)


def test_an_unreachable_launcher_is_retried(small: Small) -> None:
    launch, down = starting(small), 2

    def fail_twice(operation: str, session: str) -> None:
        nonlocal down
        if operation == "start" and down:
            down -= 1
            raise LauncherDown(why="no cluster")

    small.launcher.before = fail_twice
    small.pump()
    assert (small.launch(launch).stage, small.launch(launch).retries) == (Stage.READY, 2)


def test_a_slow_server_is_checked_again_without_counting_as_a_retry(small: Small) -> None:
    launch = starting(small)
    small.launcher.looks = 10
    small.handle(small.queue.pop())
    now = small.launch(launch)
    assert now.step == launch.step + 1
    assert [(sent.message, sent.delay) for sent in small.queue.sent] == [
        (SessionRequested(launch=launch.id, step=now.step), 1)
    ]
    small.pump()
    assert (small.launch(launch).stage, small.launch(launch).retries) == (Stage.READY, 0)
    assert small.launcher.started.count(launch.id) == 1


def test_a_server_that_never_answers_is_restarted_and_finally_fails(small: Small) -> None:
    launch = starting(small)
    small.launcher.looks = 10**6
    small.pump(most=2000)
    now = small.launch(launch)
    assert now.failure
    assert now.failure.kind == "SessionNotReady"
    assert small.launcher.started.count(launch.id) == 4
    assert small.session(launch).state is SessionState.ENDED


def test_a_late_handler_does_not_stop_the_session_of_a_later_step(small: Small) -> None:
    launch = starting(small)
    message = small.queue.pop()
    raced = False

    def meanwhile(operation: str, session: str) -> None:
        """Let the server die while the first handler waits, and let a complete second attempt succeed."""
        nonlocal raced
        if operation == "wait" and not raced:
            raced = True
            small.launcher.die(session)
            small.handle(message)
            small.pump()
            assert small.launch(launch).stage is Stage.READY
            small.launcher.die(session)  # The first handler sees a dead server again.

    small.launcher.before = meanwhile
    small.handle(message)
    assert small.launch(launch).stage is Stage.READY
    assert launch.id in small.launcher.running


def test_a_missing_image_is_resolved_and_built_again(small: Small) -> None:
    launch = starting(small)
    small.launcher.gone.add(launch.image)
    small.builds.images.clear()
    small.build()
    now = small.launch(launch)
    assert (now.stage, now.attempt, now.image) == (Stage.READY, 2, f"fake/{now.environment}-2")


def test_an_image_that_only_the_launcher_never_finds_ends_the_launch(small: Small) -> None:
    launch = starting(small)
    small.launcher.gone.add(launch.image)
    small.pump()
    failure = small.launch(launch).failure
    assert failure
    assert failure.kind == "ImageGone"


def test_a_build_only_launch_ends_without_a_session(small: Small) -> None:
    built = small.open(build_only=True)
    small.build()
    reused = small.open(build_only=True)
    small.pump()
    for opened in (built, reused):
        launch = small.launch(opened)
        assert (launch.stage, launch.session) == (Stage.READY, "")
        assert launch.image == f"fake/{launch.environment}-1"
    assert small.launcher.started == []
    assert small.system.state.quotas.taken() == 0


def test_the_last_place_goes_to_one_of_two_launches_and_the_other_fails() -> None:
    small = Small(quota_per_repository=1)
    first, second = small.open(), small.open()
    small.build()
    ends = [small.launch(first), small.launch(second)]
    assert {launch.stage for launch in ends} == {Stage.READY, Stage.FAILED}
    failures = [launch.failure for launch in ends if launch.failure]
    assert [failure.kind for failure in failures] == ["RepositoryQuotaReached"]


def test_a_session_stopped_during_its_start_fails_its_launch(small: Small) -> None:
    launch = starting(small)
    small.launcher.looks = 1
    small.handle(small.queue.pop())
    small.handle(StopRequested(session=launch.id, reason="Bindery was stopped"))
    small.pump()
    failure = small.launch(launch).failure
    assert failure
    assert failure.kind == "SessionEnded"
    assert small.launcher.running.keys().isdisjoint({launch.id})


def test_a_session_stopped_just_before_it_opens_is_never_ready(small: Small) -> None:
    launch = starting(small)

    def stopped_meanwhile(operation: str, session: str) -> None:
        if operation == "wait":
            small.launcher.before = lambda operation, session: None
            small.system.state.sessions.stopping(session, "its launch ended")

    small.launcher.before = stopped_meanwhile
    small.pump()
    assert small.launch(launch).stage is Stage.FAILED
    assert small.session(launch).state is SessionState.ENDED


def test_a_launch_stopped_during_the_server_start_leaves_no_session(small: Small) -> None:
    launch = starting(small)

    def stopped_meanwhile(operation: str, session: str) -> None:
        if operation == "wait":
            small.launcher.before = lambda operation, session: None
            small.system.stop_launch(session)

    small.launcher.before = stopped_meanwhile
    small.pump()
    now = small.launch(launch)
    assert now.failure
    assert now.failure.kind == "LaunchStopped"
    assert launch.id not in small.launcher.running
    assert small.system.state.quotas.taken() == 1  # the place of the first launch


def test_a_launch_whose_environment_has_a_newer_attempt_is_resolved_again(small: Small) -> None:
    launch = starting(small)
    message = small.queue.pop()
    small.builds.images.clear()
    other = small.open()
    small.handle(small.queue.pop())
    assert small.launch(other).attempt == 2
    small.handle(message)
    assert small.launch(launch).stage is Stage.RESOLVING
    small.build()
    assert small.launch(launch).stage is Stage.READY


def test_a_message_of_an_old_step_only_ensures_the_next(small: Small) -> None:
    launch = starting(small)
    small.launcher.looks = 1
    message = small.queue.pop()
    small.handle(message)
    waiting = small.take()
    small.handle(message)
    assert [sent.message for sent in small.take()] == [sent.message for sent in waiting]
    small.handle(SessionRequested(launch=launch.id, step=0))
    assert small.queue.sent == []


def hindered(small: Small, trouble: BinderyError) -> tuple[Launch, str]:
    """Return a launch, and its id, after trouble kept its session from starting for a few looks."""
    small.launcher.looks = 3
    launch = starting(small)
    small.launcher.trouble = trouble
    small.pump()
    return small.launch(launch), launch.id


def test_the_reason_of_a_delayed_session_is_shown_once_and_at_once(small: Small) -> None:
    launch, _ = hindered(small, ClusterFull(why="not enough memory"))
    troubles = [event.trouble for event in launch.events if event.trouble]
    assert troubles == [Failure(kind="ClusterFull", facts={"why": "not enough memory"})]
    assert launch.stage is Stage.READY


def test_at_most_a_few_reasons_of_a_delay_are_shown(small: Small) -> None:
    small.launcher.looks = 30
    launch = starting(small)
    for number in range(10):
        small.launcher.trouble = ClusterFull(why=f"{number} nodes")
        small.handle(small.queue.pop())
    assert sum(1 for event in small.launch(launch).events if event.trouble) == 5


def test_a_full_cluster_is_waited_for_up_to_the_time_limit(small: Small) -> None:
    launch = starting(small)
    small.launcher.looks = 10**6
    small.launcher.trouble = ClusterFull(why="not enough memory")
    small.pump(most=2000)
    failed = small.launch(launch)
    assert failed.failure == Failure(kind="ClusterFull", facts={"why": "not enough memory"})
    assert failed.retries == 0
    assert failed.ended_at is not None
    assert 600 <= failed.ended_at - failed.created_at < 700


def test_a_session_refused_by_a_full_quota_starts_once_there_is_room(small: Small) -> None:
    launch = starting(small)
    small.launcher.full = 3
    small.pump()
    assert small.launch(launch).stage is Stage.READY
    assert small.launch(launch).retries == 0
    assert small.launcher.started.count(launch.id) == 1


@pytest.mark.parametrize("trouble", [SessionOutOfMemory(limit="2G"), ContentUnavailable(ref="abc", why="gone")])
def test_a_permanent_error_is_not_retried(small: Small, trouble: BinderyError) -> None:
    small.launcher.looks = 1
    launch = starting(small)
    small.handle(small.queue.pop())
    small.launcher.running[launch.id].dead = "x"
    small.launcher.running[launch.id].trouble = trouble
    small.pump()
    assert small.launch(launch).failure == Failure.of(trouble)
    assert small.launch(launch).retries == 0


def test_an_image_missing_on_the_node_is_built_again(small: Small) -> None:
    small.launcher.looks = 1
    launch = starting(small)
    small.handle(small.queue.pop())
    image = small.launch(launch).image
    small.launcher.running[launch.id].dead = "x"
    small.launcher.running[launch.id].trouble = ImageGone(image=image)
    small.builds.images.discard(image)
    small.pump()
    assert small.launch(launch).stage is Stage.BUILDING


def test_the_failure_of_a_server_never_contains_its_token(small: Small) -> None:
    launch, token = starting(small), ""

    def die(operation: str, session: str) -> None:
        nonlocal token
        if operation == "wait":
            token = small.session(launch).token
            small.launcher.die(session)
            small.launcher.running[session].trouble = ContentUnavailable(ref="abc", why=f"could not read {token}")

    small.launcher.before = die
    small.pump()
    now = small.launch(launch)
    assert now.failure == Failure(kind="ContentUnavailable", facts={"ref": "abc", "why": "could not read ..."})
    assert token
    assert token not in now.model_dump_json()


def test_a_session_that_timed_out_on_a_full_cluster_is_stopped_once(small: Small) -> None:
    launch, stopped = starting(small), 0
    small.launcher.looks, small.launcher.trouble = 10**6, ClusterFull(why="not enough memory")

    def count(operation: str, session: str) -> None:
        nonlocal stopped
        stopped += operation == "stop"

    small.launcher.before = count
    while not small.launch(launch).ended:
        small.handle(small.queue.pop())
    failure = small.launch(launch).failure
    assert failure
    assert (failure.kind, stopped) == ("ClusterFull", 1)
