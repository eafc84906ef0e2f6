"""End a launch at the request of the client that launched it."""

from dataclasses import dataclass

from bindery.domain.errors import LaunchStopped
from bindery.domain.messages import StopRequested
from bindery.ports.queue import Queue
from bindery.state.launches import Launches
from bindery.usecases.steps.end_launch import EndLaunch


@dataclass(frozen=True)
class StopLaunch:
    """Stopper of launches. A launch under way fails as stopped; a ready launch loses its session. Idempotent."""

    launches: Launches
    queue: Queue
    end_launch: EndLaunch

    def __call__(self, launch: str) -> None:
        self.end_launch(launch, LaunchStopped())
        session = self.launches.get(launch).session
        if session:
            self.queue.send(StopRequested(session=session, reason="whoever launched it stopped it"))
