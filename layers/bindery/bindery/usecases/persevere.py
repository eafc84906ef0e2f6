"""Run a step of a launch: retry what may pass, fail the launch on what will not, and begin no step that crashed twice."""

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
from bindery.usecases.end_launch import EndLaunch
from bindery.usecases.running_here import RunningHere
from bindery.usecases.try_again import TryAgain

logger = logging.getLogger("bindery")
Step = TypeVar("Step", ResolveRequested, SessionRequested)

MOST_BEGUN: Final = 2
"""Beginnings of one step that have not reported back: more of them are not begun."""
LONGEST_SECONDS: Final = 80.0
"""A step that began longer ago and has not reported back has lost its process: shorter than its queue hides its message."""
MOST_WAIT_SECONDS: Final = 120.0
"""GitHub's secondary limit names no time, and a minute at least is to be waited then."""
DOING: Final = {Stage.RESOLVING: "looking at the repository", Stage.STARTING: "starting the session"}


@dataclass(frozen=True)
class Persevere(Generic[Step]):
    """Runs a launch's step. Trouble with the table itself is passed on: the queue brings the message again.

    A beginning is noted before the step does anything, so that a step which takes its process along is known by what is missing:
    it neither moved the launch on nor reported back. Two deliveries of one message may both be under way; a third waits.
    """

    step: Callable[[Step], None]
    stage: Stage
    launches: Launches
    end_launch: EndLaunch
    try_again: TryAgain
    clock: Clock
    here: RunningHere

    def __call__(self, message: Step, received: int = 1) -> None:
        """received: how often its queue has brought this message. Raises StepUnderWay, Throttled, Stale."""
        if not self._begun(message, received):
            return
        try:
            with self.here.running(message.launch, message.step):
                self.step(message)
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
                raise  # the step was taken, and waiting for the build met trouble: the queue brings it again
            if launch.step == message.step:
                self.try_again(launch, Failure.of(error), self.stage)

    def _begun(self, message: Step, received: int) -> bool:
        """Note one more beginning. False if the step may not begin and its launch has failed for that reason.

        A message for a step that has been taken begins nothing, and goes on to the step, which knows what to do. Raises StepUnderWay.
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
        """Try again when the host lets us ask, if that is soon; else the launch fails with the host's time."""
        wait = float(limited.facts["at"]) - self.clock.now()
        launch = self.launches.get(message.launch)
        if wait > MOST_WAIT_SECONDS:
            self.end_launch(message.launch, limited, message.step)
        elif launch.step == message.step:
            self.try_again(launch, Failure.of(limited), self.stage, max(wait, 0) + 1)

    def _report_back(self, message: Step) -> None:
        """The step comes again by its queue, and has crashed nothing."""
        with suppress(Retryable):
            self.launches.change(
                message.launch, lambda now: now.reported_back() if now.awaits(message.step) and now.begun else None
            )
