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
from tests.fakes.in_memory_system import InMemorySystem


def starting(system: InMemorySystem) -> Launch:
    """Return a launch with a built image and a session request in the queue."""
    system.ready()
    opened = system.open()
    system.handle(system.queue.pop())
    return system.launch(opened)


def test_phases_have_the_order_of_binderhub(system: InMemorySystem) -> None:
    built, reused = system.ready(), system.ready()
    assert [event.phase for event in built.events] == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]
    assert [event.phase for event in reused.events] == [Phase.BUILT, Phase.LAUNCHING, Phase.READY]


def test_ready_is_written_together_with_the_running_session(system: InMemorySystem) -> None:
    launch = system.ready()
    session = system.session(launch)
    assert (session.state, session.owner, session.id) == (SessionState.RUNNING, launch.owner, launch.session)
    assert session.url == f"http://{launch.id}.sessions.example/"
    assert len(session.token) >= 32


def test_the_session_gets_variables_about_its_repository(system: InMemorySystem) -> None:
    launch = system.ready()
    assert system.launcher.running[launch.id].order.variables == {
        "BINDER_LAUNCH_HOST": "https://bindery.example/",
        "BINDER_REF_URL": f"https://host.example/o/r/tree/{COMMIT}",
        "BINDER_REPO_URL": "https://host.example/o/r",
        "BINDER_REQUEST": "v2/gh/o/r/HEAD",
        "BINDER_PERSISTENT_REQUEST": f"v2/gh/o/r/{COMMIT}",
    }


def test_a_launch_record_contains_no_token(system: InMemorySystem) -> None:
    launch = system.ready()
    assert system.session(launch).token not in launch.model_dump_json()


def test_a_repeated_message_starts_one_session(system: InMemorySystem) -> None:
    launch = starting(system)
    message = system.queue.pop()
    system.handle(message)
    system.handle(message)
    assert system.launcher.started.count(launch.id) == 1
    assert system.launch(launch).stage is Stage.READY
    assert system.queue.sent == []


def test_concurrent_starts_send_the_launching_event_once(system: InMemorySystem) -> None:
    opened = system.open()
    system.pump()
    system.builds.finish(f"{system.launch(opened).environment}-1")
    system.handle(system.queue.pop())
    message, began = system.queue.pop(), False

    def somebody_began_first(operation: str, session: str) -> None:
        nonlocal began
        if operation == "start" and not began:
            began = True
            system.handle(message)

    raced = False

    def first(operation: str, keys: object) -> None:
        nonlocal raced
        if operation == "put" and not raced and "launch#" in str(keys):
            raced = True
            system.handle(message)

    system.launcher.before = somebody_began_first
    system.table.before = first
    system.handle(message)
    phases = [event.phase for event in system.launch(opened).events]
    assert phases == [Phase.WAITING, Phase.BUILT, Phase.LAUNCHING, Phase.READY]
    assert system.launcher.started == [opened.id]


def test_a_dying_server_is_retried_after_4_8_and_16_seconds_and_then_reported(
    system: InMemorySystem,
) -> None:
    launch = starting(system)
    delays = []
    token = ""

    def die(operation: str, session: str) -> None:
        nonlocal token
        if operation == "wait":
            token = system.session(launch).token
            system.launcher.die(session, f"MemoryError\nhttp://127.0.0.1:1/?token={token}")

    system.launcher.before = die
    while system.queue.sent and isinstance(system.queue.sent[0].message, SessionRequested):
        delays.append(system.queue.sent[0].delay)
        system.handle(system.queue.pop())
    assert delays == [0, 4, 8, 16]
    now = system.launch(launch)
    assert now.failure
    assert (now.stage, now.failure.kind, now.retries) == (Stage.FAILED, "SessionDied", 3)
    assert "MemoryError" in str(now.failure.facts["why"])
    assert token not in now.model_dump_json()
    assert [event.message for event in now.events if "attempt" in event.message] == [
        f"Launch attempt {n} failed, trying again...\n" for n in (1, 2, 3)
    ]
    system.pump()
    assert system.session(launch).state is SessionState.ENDED
    assert launch.id not in system.launcher.running


def test_one_crash_of_the_server_does_not_fail_the_launch(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.looks = 1
    system.handle(system.queue.pop())
    system.launcher.die(launch.id)
    system.launcher.looks = 0
    system.pump()
    assert (system.launch(launch).stage, system.launch(launch).retries) == (Stage.READY, 1)


def test_an_unreachable_launcher_is_retried(system: InMemorySystem) -> None:
    launch, down = starting(system), 2

    def fail_twice(operation: str, session: str) -> None:
        nonlocal down
        if operation == "start" and down:
            down -= 1
            raise LauncherDown(why="no cluster")

    system.launcher.before = fail_twice
    system.pump()
    assert (system.launch(launch).stage, system.launch(launch).retries) == (Stage.READY, 2)


def test_a_slow_server_is_checked_again_without_counting_as_a_retry(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.looks = 10
    system.handle(system.queue.pop())
    now = system.launch(launch)
    assert now.step == launch.step + 1
    assert [(sent.message, sent.delay) for sent in system.queue.sent] == [
        (SessionRequested(launch=launch.id, step=now.step), 1)
    ]
    system.pump()
    assert (system.launch(launch).stage, system.launch(launch).retries) == (Stage.READY, 0)
    assert system.launcher.started.count(launch.id) == 1


def test_a_server_that_never_answers_is_restarted_and_finally_fails(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.looks = 10**6
    system.pump(most=2000)
    now = system.launch(launch)
    assert now.failure
    assert now.failure.kind == "SessionNotReady"
    assert system.launcher.started.count(launch.id) == 4
    assert system.session(launch).state is SessionState.ENDED


def test_a_late_handler_does_not_stop_the_session_of_a_later_step(system: InMemorySystem) -> None:
    launch = starting(system)
    message = system.queue.pop()
    raced = False

    def meanwhile(operation: str, session: str) -> None:
        """Let the server die while the first handler waits, and let a complete second attempt succeed."""
        nonlocal raced
        if operation == "wait" and not raced:
            raced = True
            system.launcher.die(session)
            system.handle(message)
            system.pump()
            assert system.launch(launch).stage is Stage.READY
            system.launcher.die(session)  # The first handler sees a dead server again.

    system.launcher.before = meanwhile
    system.handle(message)
    assert system.launch(launch).stage is Stage.READY
    assert launch.id in system.launcher.running


def test_a_missing_image_is_resolved_and_built_again(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.gone.add(launch.image)
    system.builds.images.clear()
    system.build()
    now = system.launch(launch)
    assert (now.stage, now.attempt, now.image) == (Stage.READY, 2, f"fake/{now.environment}-2")


def test_an_image_that_only_the_launcher_never_finds_ends_the_launch(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.gone.add(launch.image)
    system.pump()
    failure = system.launch(launch).failure
    assert failure
    assert failure.kind == "ImageGone"


def test_a_build_only_launch_ends_without_a_session(system: InMemorySystem) -> None:
    built = system.open(build_only=True)
    system.build()
    reused = system.open(build_only=True)
    system.pump()
    for opened in (built, reused):
        launch = system.launch(opened)
        assert (launch.stage, launch.session) == (Stage.READY, "")
        assert launch.image == f"fake/{launch.environment}-1"
    assert system.launcher.started == []
    assert system.bindery.state.quotas.taken() == 0


def test_the_last_place_goes_to_one_of_two_launches_and_the_other_fails() -> None:
    system = InMemorySystem(quota_per_repository=1)
    first, second = system.open(), system.open()
    system.build()
    ends = [system.launch(first), system.launch(second)]
    assert {launch.stage for launch in ends} == {Stage.READY, Stage.FAILED}
    failures = [launch.failure for launch in ends if launch.failure]
    assert [failure.kind for failure in failures] == ["RepositoryQuotaReached"]


def test_a_session_stopped_during_its_start_fails_its_launch(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.looks = 1
    system.handle(system.queue.pop())
    system.handle(StopRequested(session=launch.id, reason="Bindery was stopped"))
    system.pump()
    failure = system.launch(launch).failure
    assert failure
    assert failure.kind == "SessionEnded"
    assert system.launcher.running.keys().isdisjoint({launch.id})


def test_a_session_stopped_just_before_it_opens_is_never_ready(system: InMemorySystem) -> None:
    launch = starting(system)

    def stopped_meanwhile(operation: str, session: str) -> None:
        if operation == "wait":
            system.launcher.before = lambda operation, session: None
            system.bindery.state.sessions.mark_stopping(session, "its launch ended")

    system.launcher.before = stopped_meanwhile
    system.pump()
    assert system.launch(launch).stage is Stage.FAILED
    assert system.session(launch).state is SessionState.ENDED


def test_a_launch_stopped_during_the_server_start_leaves_no_session(system: InMemorySystem) -> None:
    launch = starting(system)

    def stopped_meanwhile(operation: str, session: str) -> None:
        if operation == "wait":
            system.launcher.before = lambda operation, session: None
            system.bindery.stop_launch(session)

    system.launcher.before = stopped_meanwhile
    system.pump()
    now = system.launch(launch)
    assert now.failure
    assert now.failure.kind == "LaunchStopped"
    assert launch.id not in system.launcher.running
    assert system.bindery.state.quotas.taken() == 1  # the place of the first launch


def test_a_launch_whose_environment_has_a_newer_attempt_is_resolved_again(system: InMemorySystem) -> None:
    launch = starting(system)
    message = system.queue.pop()
    system.builds.images.clear()
    other = system.open()
    system.handle(system.queue.pop())
    assert system.launch(other).attempt == 2
    system.handle(message)
    assert system.launch(launch).stage is Stage.RESOLVING
    system.build()
    assert system.launch(launch).stage is Stage.READY


def test_a_message_of_an_old_step_only_ensures_the_next(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.looks = 1
    message = system.queue.pop()
    system.handle(message)
    waiting = system.take()
    system.handle(message)
    assert [sent.message for sent in system.take()] == [sent.message for sent in waiting]
    system.handle(SessionRequested(launch=launch.id, step=0))
    assert system.queue.sent == []


def hindered(system: InMemorySystem, trouble: BinderyError) -> tuple[Launch, str]:
    """Return a launch, and its id, after trouble kept its session from starting for a few looks."""
    system.launcher.looks = 3
    launch = starting(system)
    system.launcher.trouble = trouble
    system.pump()
    return system.launch(launch), launch.id


def test_the_reason_of_a_delayed_session_is_shown_once_and_at_once(system: InMemorySystem) -> None:
    launch, _ = hindered(system, ClusterFull(why="not enough memory"))
    troubles = [event.trouble for event in launch.events if event.trouble]
    assert troubles == [Failure(kind="ClusterFull", facts={"why": "not enough memory"})]
    assert launch.stage is Stage.READY


def test_at_most_a_few_reasons_of_a_delay_are_shown(system: InMemorySystem) -> None:
    system.launcher.looks = 30
    launch = starting(system)
    for number in range(10):
        system.launcher.trouble = ClusterFull(why=f"{number} nodes")
        system.handle(system.queue.pop())
    assert sum(1 for event in system.launch(launch).events if event.trouble) == 5


def test_a_full_cluster_is_waited_for_up_to_the_time_limit(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.looks = 10**6
    system.launcher.trouble = ClusterFull(why="not enough memory")
    system.pump(most=2000)
    failed = system.launch(launch)
    assert failed.failure == Failure(kind="ClusterFull", facts={"why": "not enough memory"})
    assert failed.retries == 0
    assert failed.ended_at is not None
    assert 600 <= failed.ended_at - failed.created_at < 700


def test_a_session_refused_by_a_full_quota_starts_once_there_is_room(system: InMemorySystem) -> None:
    launch = starting(system)
    system.launcher.full = 3
    system.pump()
    assert system.launch(launch).stage is Stage.READY
    assert system.launch(launch).retries == 0
    assert system.launcher.started.count(launch.id) == 1


@pytest.mark.parametrize("trouble", [SessionOutOfMemory(limit="2G"), ContentUnavailable(ref="abc", why="gone")])
def test_a_permanent_error_is_not_retried(system: InMemorySystem, trouble: BinderyError) -> None:
    system.launcher.looks = 1
    launch = starting(system)
    system.handle(system.queue.pop())
    system.launcher.running[launch.id].dead = "x"
    system.launcher.running[launch.id].trouble = trouble
    system.pump()
    assert system.launch(launch).failure == Failure.of(trouble)
    assert system.launch(launch).retries == 0


def test_an_image_missing_on_the_node_is_built_again(system: InMemorySystem) -> None:
    system.launcher.looks = 1
    launch = starting(system)
    system.handle(system.queue.pop())
    image = system.launch(launch).image
    system.launcher.running[launch.id].dead = "x"
    system.launcher.running[launch.id].trouble = ImageGone(image=image)
    system.builds.images.discard(image)
    system.pump()
    assert system.launch(launch).stage is Stage.BUILDING


def test_the_failure_of_a_server_never_contains_its_token(system: InMemorySystem) -> None:
    launch, token = starting(system), ""

    def die(operation: str, session: str) -> None:
        nonlocal token
        if operation == "wait":
            token = system.session(launch).token
            system.launcher.die(session)
            system.launcher.running[session].trouble = ContentUnavailable(ref="abc", why=f"could not read {token}")

    system.launcher.before = die
    system.pump()
    now = system.launch(launch)
    assert now.failure == Failure(kind="ContentUnavailable", facts={"ref": "abc", "why": "could not read ..."})
    assert token
    assert token not in now.model_dump_json()


def test_a_session_that_timed_out_on_a_full_cluster_is_stopped_once(system: InMemorySystem) -> None:
    launch, stopped = starting(system), 0
    system.launcher.looks, system.launcher.trouble = 10**6, ClusterFull(why="not enough memory")

    def count(operation: str, session: str) -> None:
        nonlocal stopped
        stopped += operation == "stop"

    system.launcher.before = count
    while not system.launch(launch).ended:
        system.handle(system.queue.pop())
    failure = system.launch(launch).failure
    assert failure
    assert (failure.kind, stopped) == ("ClusterFull", 1)
