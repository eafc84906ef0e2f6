"""Run a launch's step: count its starts, retry retryable errors, fail the launch on permanent ones."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bindery.domain.errors import HostLimited, Permanent, Retryable, Stale, StepCrashed, StepUnderWay, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
from bindery.ports.clock import Clock
from bindery.state.launches import Launches
from bindery.usecases.steps.advance import Advance
from bindery.usecases.steps.end_launch import EndLaunch
from bindery.usecases.steps.retry import RetryStep
from bindery.usecases.steps.running_here import RunningHere

logger = logging.getLogger("bindery")
Step = TypeVar("Step", ResolveRequested, SessionRequested)

MOST_BEGUN: Final = 2
"""Starts of one step that have not reported back. With this many, the step is not started again."""
LONGEST_SECONDS: Final = 80.0
"""A step that started longer ago and has not reported back has lost its process. Shorter than the queue's visibility timeout."""
MOST_WAIT_SECONDS: Final = 120.0
"""GitHub's secondary limit gives no time; the client has to wait for a minute at least."""
DOING: Final = {Stage.RESOLVING: "looking at the repository", Stage.STARTING: "starting the session"}


@dataclass(frozen=True)
class RunStep(Generic[Step]):
    """Runner of a launch's step. Errors of the table itself are passed on: the queue brings the message again.

    The start is noted before the step runs. So a step that ends its process is recognised: it neither moved the launch on nor
    reported back. Two deliveries of one message may both be under way; a third waits.
    For a message whose step was taken, it only makes sure that the next step is coming.
    """

    step: Callable[[Launch], None]
    stage: Stage
    launches: Launches
    advance: Advance
    end_launch: EndLaunch
    retry: RetryStep
    clock: Clock
    here: RunningHere

    def __call__(self, message: Step, received: int = 1) -> None:
        """Run the step. received: how often the queue has delivered this message. Raises StepUnderWay, Throttled, Stale."""
        if not self._begun(message, received):
            return
        try:
            with self.here.running(message.launch, message.step):
                if launch := self._current(message):
                    self.step(launch)
        except (Throttled, Stale):
            self._report_back(message)
            raise
        except HostLimited as limited:
            self._wait(message, limited)
        except Permanent as error:
            self.end_launch(message.launch, error, message.step)
        except Retryable as error:
            launch = self.launches.get(message.launch)
            if launch.stage is Stage.BUILDING and launch.step == message.step + 1:
                raise  # the step was taken, but waiting for the build failed: the queue brings the message again
            if launch.step == message.step:
                self.retry(launch, Failure.of(error), self.stage)

    def _current(self, message: Step) -> Launch | None:
        """Return the launch if it awaits this step.

        If it is one step further, its next message is sent again: the process that moved it may have ended before it sent it.
        """
        launch = self.launches.get(message.launch)
        if launch.step == message.step + 1:
            self.advance(launch)
        return launch if launch.awaits(message.step) else None

    def _begun(self, message: Step, received: int) -> bool:
        """Note one more start. Return False if the step may not start and its launch has failed for that reason.

        A message for a step that was taken notes no start. It goes on to the step, which handles it. Raises StepUnderWay.
        """
        exhausted: list[Launch] = []

        def begin(now: Launch) -> Launch | None:
            exhausted.clear()
            if not now.awaits(message.step):
                return None
            if now.begun >= MOST_BEGUN:
                exhausted.append(now)
                return None
            return (now.rescued() if received > 1 else now).begins(self.clock.now())

        self.launches.change(message.launch, begin)
        if not exhausted:
            return True
        young = self.clock.now() - exhausted[0].begun_at < LONGEST_SECONDS
        if young or self.here.runs(message.launch, message.step):
            raise StepUnderWay
        logger.error("launch %s crashed its step %d %d times", message.launch, message.step, exhausted[0].begun)
        self.end_launch(message.launch, StepCrashed(step=DOING[self.stage]), message.step)
        return False

    def _wait(self, message: Step, limited: HostLimited) -> None:
        """Retry when the host accepts requests again, if that is soon; else fail the launch with the host's time."""
        wait = float(limited.facts["at"]) - self.clock.now()
        launch = self.launches.get(message.launch)
        if wait > MOST_WAIT_SECONDS:
            self.end_launch(message.launch, limited, message.step)
        elif launch.step == message.step:
            self.retry(launch, Failure.of(limited), self.stage, max(wait, 0) + 1)

    def _report_back(self, message: Step) -> None:
        """Note that the step has not crashed; its queue brings the message again."""
        with suppress(Retryable):
            self.launches.change(
                message.launch, lambda now: now.reported_back() if now.awaits(message.step) and now.begun else None
            )
