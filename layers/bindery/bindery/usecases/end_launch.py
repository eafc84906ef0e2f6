"""The one way a launch fails: with a reason, and its session on the way out."""

import logging
from dataclasses import dataclass

from bindery.domain.errors import BinderyError
from bindery.domain.failure import Failure
from bindery.domain.launch import FAILED, Launch, Stage
from bindery.domain.messages import StopRequested
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.state.launches import Launches

logger = logging.getLogger("bindery")


@dataclass(frozen=True)
class EndLaunch:
    """Fails the launch unless it has ended, or has moved past `step`."""

    launches: Launches
    queue: Queue
    clock: Clock

    def __call__(self, launch: str, error: BinderyError | Failure, step: int | None = None) -> None:
        failure = error if isinstance(error, Failure) else Failure.of(error)

        def fail(now: Launch) -> Launch | None:
            if now.ended or (step is not None and now.step != step):
                return None
            return now.moved(Stage.FAILED, self.clock.now(), FAILED, failure=failure)

        failed = self.launches.change(launch, fail)
        if failed:
            logger.info("launch %s of %s/%s failed: %s", launch, failed.provider, failed.spec, failure.kind)
        current = failed or self.launches.find(launch)
        if current and current.stage is Stage.FAILED and current.session:
            self.queue.send(StopRequested(session=current.session, reason="its launch failed"))
