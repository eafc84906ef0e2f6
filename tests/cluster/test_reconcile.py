"""The use cases on sessions of a real cluster: what has no record goes, what has no Pod ends, and each end says why."""

import time
from collections.abc import Iterator

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.sessions.kubernetes import KubernetesSessions
from bindery.bootstrap import System
from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.launch import Launch, Stage
from bindery.domain.sessions import SessionState
from tests.cluster.test_ends import EAT_TOGETHER
from tests.cluster.trials import Trials
from tests.fakes.builds import FakeBuilds
from tests.fakes.host import FakeHost
from tests.fakes.ports import FakePorts, settings_of
from tests.fakes.queue import FakeQueue
from tests.fakes.table import DictTable
from tests.serving.kernel import Session
from tests.serving.lab import until
from tests.serving.names import localhost_names
from tests.simulation.small import Small

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

LATER = 61.0  # seconds after which nothing counts as young any more


class AheadClock(SystemClock):
    """This machine's, as far ahead as it was told to be."""

    ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


class OnCluster(Small):
    """With sessions that are Pods; whatever is built, one image comes of it."""

    def __init__(self, launcher: KubernetesSessions, image: str, host: FakeHost | None = None) -> None:
        self.clock = AheadClock()  # type: ignore[assignment]  # it tells the time and can be advanced
        self.table, self.queue, self.host, self.image = DictTable(), FakeQueue(), host or FakeHost(), image
        self.builds = FakeBuilds(self.queue)
        ports = FakePorts(self.table, self.queue, self.builds, launcher, self.clock, self.host)
        self.system = System(ports, settings_of())

    def ended(self) -> Launch:
        """A launch that has come to its end."""
        launch = self.open()
        while self.queue.sent:
            self.step()
        return self.launch(launch)

    def step(self) -> None:
        """The next message arrives, and builds that run are over."""
        sent = self.queue.sent.pop(0)
        self.clock.advance(sent.delay)
        self.handle(sent.message)
        for handle in [handle for handle, report in self.builds.reports.items() if report.state is BuildState.RUNNING]:
            self.builds.finish(handle, BuildReport(BuildState.SUCCEEDED, image=self.image))

    def sweep(self, seconds: float = LATER) -> None:
        """Time passes, and what is found out is acted on."""
        self.clock.advance(seconds)
        self.system.reconcile()
        self.pump()


@pytest.fixture(scope="module")
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    with trials.launcher(memory_limit="400M") as launcher:
        yield launcher
    trials.shipped.remove_sessions()


@pytest.fixture
def world(launcher: KubernetesSessions, trials: Trials) -> OnCluster:
    return OnCluster(launcher, trials.image)


def ready(world: OnCluster) -> Launch:
    launch = world.ended()
    assert launch.stage is Stage.READY, launch
    return launch


def assert_over(world: OnCluster, trials: Trials, launch: Launch, reason: str) -> None:
    """The session has ended for this reason, and nothing is left of it."""
    session = world.session(launch)
    assert (session.state, session.reason) == (SessionState.ENDED, reason)
    until(lambda: not trials.shipped.objects(launch.id), 60)


def test_a_session_that_is_well_stays_and_what_has_no_record_goes(
    world: OnCluster, launcher: KubernetesSessions, trials: Trials
) -> None:
    launch, stray = ready(world), trials.order()
    launcher.start(stray)
    world.sweep(0)
    assert trials.shipped.objects(stray.id), "it is young, and its record may yet be seen"
    world.sweep()
    until(lambda: not trials.shipped.objects(stray.id), 60)
    assert world.session(launch).state is SessionState.RUNNING
    assert [each.id for each in launcher.objects() if each.alive] == [launch.id]
    trials.shipped.remove_sessions()


@pytest.mark.parametrize(
    ("kinds", "reason"), [("pods", "the cluster ended it: its Pod was deleted"), ("services", "its server ended")]
)
def test_a_record_whose_pod_was_taken_away_ends(world: OnCluster, trials: Trials, kinds: str, reason: str) -> None:
    launch = ready(world)
    trials.shipped.kubectl("delete", kinds, "-l", f"bindery.session/id={launch.id}", "--cascade=foreground")
    world.sweep(0)
    assert world.session(launch).state is SessionState.RUNNING, "it has only just become ready"
    world.sweep()
    assert_over(world, trials, launch, reason)


def test_a_session_that_took_too_much_memory_ends_with_that_reason(world: OnCluster, trials: Trials) -> None:
    launch = ready(world)
    session = world.session(launch)
    Session(session.url, session.token).leave_running(EAT_TOGETHER)
    until(lambda: trials.shipped.pods(launch.id)[0]["status"]["phase"] == "Failed", 60)
    world.sweep()
    assert_over(world, trials, launch, "it used more memory than it may (400M)")


def test_a_server_that_always_ends_fails_its_launch_with_its_last_words_and_leaves_nothing(trials: Trials) -> None:
    with trials.launcher("crash") as launcher:
        world = OnCluster(launcher, trials.image)
        launch = world.ended()
    assert launch.stage is Stage.FAILED
    assert launch.failure is not None
    assert launch.failure.kind == "SessionDied"
    assert "ValueError: no such colour" in str(launch.failure.facts["why"])
    assert_over(world, trials, launch, world.session(launch).reason)
