"""The use cases, one message at a time, with sessions that are Pods of a real cluster."""

import time

from bindery.adapters.clock import SystemClock
from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.bootstrap import System
from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.launch import Launch
from tests.fakes.builds import FakeBuilds
from tests.fakes.host import COMMIT, FakeHost
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.ports import FakePorts, settings_of
from tests.fakes.queue import FakeQueue
from tests.fakes.table import DictTable

LATER = 61.0  # seconds after which no object counts as young any more


class AheadClock(SystemClock):
    """This machine's clock, advanced by the seconds that a test sets."""

    ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


def own_image() -> FakeHost:
    """Return a host with a repository that has a Dockerfile. No other commit has its image, and the image may have
    any entry point.
    """
    return FakeHost(files={COMMIT: {"Dockerfile": b"FROM scratch\n"}})


class OnCluster(InMemorySystem):
    """A system with Pods as sessions. Every build results in the same image."""

    def __init__(self, launcher: KubernetesSessions, image: str, host: FakeHost | None = None) -> None:
        self.clock = AheadClock()  # type: ignore[assignment]  # it tells the time and can be advanced
        self.table, self.queue, self.host, self.image = DictTable(), FakeQueue(), host or own_image(), image
        self.builds = FakeBuilds(self.queue)
        ports = FakePorts(self.table, self.queue, self.builds, launcher, self.clock, self.host)
        self.bindery = System(ports, settings_of())

    def ended(self) -> Launch:
        """Return a launch that has come to its end."""
        launch = self.open()
        self.pump()
        return self.launch(launch)

    def step(self) -> None:
        """Do a step as the base class does, and finish the running builds."""
        super().step()
        for handle in self.builds.running():
            self.builds.finish(handle, BuildReport(BuildState.SUCCEEDED, image=self.image))

    def sweep(self, seconds: float = LATER) -> None:
        """Let time pass and sweep, and handle the messages of the sweep."""
        self.clock.advance(seconds)
        self.bindery.reconcile()
        self.pump()
