"""Run a step of a launch: count its starts, retry after retryable errors, fail the launch after permanent ones."""

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

MAX_UNREPORTED_STARTS: Final = 2
"""Limit of starts of one step that have not reported a result. At this limit the step is not started again."""
CRASHED_AFTER_SECONDS: Final = 80.0
"""A start that has not reported a result after this time has crashed. Shorter than the queue's visibility timeout."""
MOST_WAIT_SECONDS: Final = 120.0
"""Longest wait for a rate-limited host; for a longer one the launch fails. GitHub's secondary limit needs at least one minute."""
STEP_DESCRIPTIONS: Final = {Stage.RESOLVING: "looking at the repository", Stage.STARTING: "starting the session"}


@dataclass(frozen=True)
class RunStep(Generic[Step]):
    """Runner of a launch's step. Throttled and Stale are passed on to the queue, which delivers the message again.

    Each start is recorded before the step runs. A step that ends its process is recognised: it has not changed the launch's step number
    and has not reported a result. Two deliveries of one message may run at the same time; a third has to wait.
    If the launch is already at its next step, the message of the next step is sent again.
    """

    step: Callable[[Launch], None]
    stage: Stage
    launches: Launches
    advance: Advance
    end_launch: EndLaunch
    retry: RetryStep
    clock: Clock
    running_steps: RunningHere

    def __call__(self, message: Step, received: int = 1) -> None:
        """Run the step. received: how often the queue has delivered this message.

        Raises StepUnderWay, Throttled, Stale, and any Retryable error that occurred while the launch began to wait for its build.
        """
        if not self._record_start(message, received):
            return
        try:
            with self.running_steps.running(message.launch, message.step):
                if launch := self._current(message):
                    self.step(launch)
        except (Throttled, Stale):
            self._report_back(message)
            raise
        except HostLimited as limited:
            self._retry_when_host_accepts(message, limited)
        except Permanent as error:
            self.end_launch(message.launch, error, message.step)
        except Retryable as error:
            launch = self.launches.get(message.launch)
            if launch.stage is Stage.BUILDING and launch.step == message.step + 1:
                raise  # the launch moved on, but could not wait for its build: the queue delivers the message again
            if launch.step == message.step:
                self.retry(launch, Failure.of(error), self.stage)

    def _current(self, message: Step) -> Launch | None:
        """Return the launch if it awaits this step, otherwise None.

        If the launch is one step further, its next message is sent again: the process that advanced it may have ended before that.
        """
        launch = self.launches.get(message.launch)
        if launch.step == message.step + 1:
            self.advance(launch)
        return launch if launch.awaits(message.step) else None

    def _record_start(self, message: Step, received: int) -> bool:
        """Record one more start. Return False if the step has crashed too often; its launch has then failed.

        If the launch does not await this step any more, no start is recorded, and the result is True. Raises StepUnderWay.
        """
        exhausted: list[Launch] = []

        def begin(now: Launch) -> Launch | None:
            exhausted.clear()
            if not now.awaits(message.step):
                return None
            if now.begun >= MAX_UNREPORTED_STARTS:
                exhausted.append(now)
                return None
            return (now.rescued() if received > 1 else now).begins(self.clock.now())

        self.launches.change(message.launch, begin)
        if not exhausted:
            return True
        may_still_run = self.clock.now() - exhausted[0].begun_at < CRASHED_AFTER_SECONDS
        if may_still_run or self.running_steps.runs(message.launch, message.step):
            raise StepUnderWay
        logger.error("launch %s: step %d crashed %d times", message.launch, message.step, exhausted[0].begun)
        self.end_launch(message.launch, StepCrashed(step=STEP_DESCRIPTIONS[self.stage]), message.step)
        return False

    def _retry_when_host_accepts(self, message: Step, limited: HostLimited) -> None:
        """Retry the step when the host accepts requests again. If that takes longer than MOST_WAIT_SECONDS, fail the launch."""
        wait = float(limited.facts["at"]) - self.clock.now()
        launch = self.launches.get(message.launch)
        if wait > MOST_WAIT_SECONDS:
            self.end_launch(message.launch, limited, message.step)
        elif launch.step == message.step:
            self.retry(launch, Failure.of(limited), self.stage, max(wait, 0) + 1)

    def _report_back(self, message: Step) -> None:
        """Record that this start has not crashed. The queue delivers the message again."""
        with suppress(Retryable):
            self.launches.change(
                message.launch, lambda now: now.reported_back() if now.awaits(message.step) and now.begun else None
            )
