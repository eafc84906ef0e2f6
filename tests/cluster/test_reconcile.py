"""Tests of the use cases on sessions of a real cluster. Sessions without a record go, those without a Pod end, each
with a reason.
"""

import pytest

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.launch import Launch, Stage
from bindery.domain.sessions import SessionState
from tests.cluster.on_cluster import OnCluster
from tests.cluster.test_session_ends import EAT_TOGETHER
from tests.cluster.trials import Trials
from tests.serving.kernel import Session
from tests.serving.lab import until
from tests.serving.names import localhost_names

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")


@pytest.fixture
def world(launcher: KubernetesSessions, trials: Trials) -> OnCluster:
    return OnCluster(launcher, trials.image)


def ready(world: OnCluster) -> Launch:
    launch = world.ended()
    assert launch.stage is Stage.READY, launch
    return launch


def assert_over(world: OnCluster, trials: Trials, launch: Launch, reason: str) -> None:
    """Assert that the session has ended for this reason and that all its objects are gone."""
    session = world.session(launch)
    assert (session.state, session.reason) == (SessionState.ENDED, reason)
    until(lambda: not trials.shipped.objects(launch.id), 60)


def test_sessions_without_a_record_are_removed_and_others_stay(
    world: OnCluster, launcher: KubernetesSessions, trials: Trials
) -> None:
    launch, stray = ready(world), trials.order()
    launcher.start(stray)
    world.sweep(0)
    assert trials.shipped.objects(stray.id), "it is young, and its record may yet be seen"
    world.sweep()
    until(lambda: not trials.shipped.objects(stray.id), 60)
    assert world.session(launch).state is SessionState.RUNNING
    assert [each.id for each in launcher.list_sessions() if each.alive] == [launch.id]
    trials.shipped.remove_sessions()


@pytest.mark.parametrize(
    ("kinds", "reason"), [("pods", "the cluster ended it: its Pod was deleted"), ("services", "its server ended")]
)
def test_a_session_whose_objects_were_deleted_ends(world: OnCluster, trials: Trials, kinds: str, reason: str) -> None:
    launch = ready(world)
    trials.shipped.kubectl("delete", kinds, "-l", f"bindery.session/id={launch.id}", "--cascade=foreground")
    world.sweep(0)
    assert world.session(launch).state is SessionState.RUNNING, "it has only just become ready"
    world.sweep()
    assert_over(world, trials, launch, reason)


def test_a_session_over_its_memory_limit_ends_with_that_reason(world: OnCluster, trials: Trials) -> None:
    launch = ready(world)
    session = world.session(launch)
    Session(session.url, session.token).leave_running(EAT_TOGETHER)
    until(lambda: trials.shipped.pods(launch.id)[0]["status"]["phase"] == "Failed", 60)
    world.sweep()
    assert_over(world, trials, launch, "it used more memory than it may (400M)")


def test_a_server_that_always_crashes_fails_its_launch_and_leaves_no_objects(trials: Trials) -> None:
    with trials.launcher("crash") as launcher:
        world = OnCluster(launcher, trials.image)
        launch = world.ended()
    assert launch.stage is Stage.FAILED
    assert launch.failure is not None
    assert launch.failure.kind == "SessionDied"
    assert "ValueError: no such colour" in str(launch.failure.facts["why"])
    assert_over(world, trials, launch, world.session(launch).reason)
