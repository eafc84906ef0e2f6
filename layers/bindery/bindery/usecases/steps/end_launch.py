"""Fail a launch with a reason, and request the stop of its session. Launches fail in no other way."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bindery.domain.errors import BinderyError
from bindery.domain.failure import Failure
from bindery.domain.launch import FAILED, Launch, Stage
from bindery.domain.messages import StopRequested
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.table import Item
from bindery.state.launches import Launches

logger = logging.getLogger("bindery")


@dataclass(frozen=True)
class EndLaunch:
    """Failer of launches. It fails a launch unless the launch has ended, or has moved past `step`."""

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
            _log(failed, failure)
        current = failed or self.launches.find(launch)
        if current and current.stage is Stage.FAILED and current.session:
            self.queue.send(StopRequested(session=current.session, reason="its launch failed"))

    def all(self, read: Sequence[tuple[Item, Launch]], failure: Failure) -> None:
        """Fail launches that were read together, except launches that have moved since."""
        steps = {launch.id: launch.step for _, launch in read}

        def fail(now: Launch) -> Launch | None:
            return (
                now.moved(Stage.FAILED, self.clock.now(), FAILED, failure=failure)
                if now.awaits(steps[now.id])
                else None
            )

        failed = self.launches.change_all(read, fail)
        for launch in failed:
            _log(launch, failure)
        stops = [StopRequested(session=each.session, reason="its launch failed") for each in failed if each.session]
        if stops:
            self.queue.send_all(stops)


def _log(failed: Launch, failure: Failure) -> None:
    logger.info("launch %s of %s/%s failed: %s", failed.id, failed.provider, failed.spec, failure.kind)
