"""Steps of launches: run, retried after retryable errors (each time later than before), failed after permanent ones."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bindery.domain.errors import (
    BuildCrashed,
    HostLimited,
    Permanent,
    Retryable,
    Stale,
    StepCrashed,
    StepUnderWay,
    Throttled,
)
from bindery.domain.failure import Failure
from bindery.domain.launch import LAUNCHING, Event, Launch, Phase, Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.table import Item
from bindery.state.launches import Launches
from bindery.usecases.steps.end_launch import EndLaunch
from bindery.usecases.steps.running_here import RunningHere

logger = logging.getLogger("bindery")
Step = TypeVar("Step", ResolveRequested, SessionRequested)

DELAYS: dict[Stage, tuple[float, ...]] = {Stage.RESOLVING: (1, 4), Stage.STARTING: (4, 8, 16)}
RETRIES = 8
MOST_CRASHED_BUILDS: Final = 2
"""Builds of one launch that ended with their process. The build itself may end the process, so a third one is not started."""
MOST_BEGUN: Final = 2
"""Starts of one step that have not reported back. With this many, the step is not started again."""
LONGEST_SECONDS: Final = 80.0
"""A step that started longer ago and has not reported back has lost its process. Shorter than the queue's visibility timeout."""
MOST_WAIT_SECONDS: Final = 120.0
"""GitHub's secondary limit gives no time; the client has to wait for a minute at least."""
DOING: Final = {Stage.RESOLVING: "looking at the repository", Stage.STARTING: "starting the session"}


@dataclass(frozen=True)
class RetryStep:
    """Retrier of steps. It moves the launch to `stage` once more with a new step number, so that the old step changes no record."""

    launches: Launches
    queue: Queue
    end_launch: EndLaunch
    clock: Clock

    def __call__(self, launch: Launch, trouble: Failure, stage: Stage, wait: float | None = None) -> None:
        """Retry the launch or fail it.

        wait: seconds until a host accepts requests again, which the visitor reads; None: the delay of the try's number.
        """
        tries = launch.tries if stage is launch.stage else 0
        if tries >= len(DELAYS[stage]) or _is_last(launch, trouble):
            self.end_launch(launch.id, trouble, launch.step)
            return
        notice = self._notice(stage, tries) if wait is None else _waiting(trouble, stage)
        again = self._again({launch.id: launch.step}, trouble, stage, tries, notice)
        moved = self.launches.change(launch.id, again)
        if moved and (message := moved.next_message):
            self.queue.send(message, DELAYS[stage][tries] if wait is None else wait)

    def all(self, read: Sequence[tuple[Item, Launch]], trouble: Failure, stage: Stage) -> None:
        """Retry launches that were read together, none of which is in `stage` yet."""
        self.end_launch.all([each for each in read if _is_last(each[1], trouble)], trouble)
        steps = {launch.id: launch.step for _, launch in read}
        retried = [each for each in read if not _is_last(each[1], trouble)]
        moved = self.launches.change_all(retried, self._again(steps, trouble, stage, 0, self._notice(stage, 0)))
        if messages := [message for each in moved if (message := each.next_message)]:
            self.queue.send_all(messages, DELAYS[stage][0])

    def _again(
        self, steps: dict[str, int], trouble: Failure, stage: Stage, tries: int, notice: tuple[Event, ...]
    ) -> Callable[[Launch], Launch | None]:
        """Return the change of a launch that is still at the step of its id."""

        def again(now: Launch) -> Launch | None:
            if not now.awaits(steps[now.id]):
                return None
            at = self.clock.now()
            changes = {
                "tries": tries + 1,
                "retries": now.retries + 1,
                "crashed_builds": now.crashed_builds + _is_crash(trouble),
                "trouble": trouble,
                "stage_since": at,
                "watched": False,
            }
            return now.moved(stage, at, *notice, **changes)

        return again

    @staticmethod
    def _notice(stage: Stage, tries: int) -> tuple[Event, ...]:
        if stage is not Stage.STARTING:
            return ()
        return (Event(phase=LAUNCHING.phase, message=f"Launch attempt {tries + 1} failed, trying again...\n"),)


def _is_crash(trouble: Failure) -> bool:
    return trouble.kind == BuildCrashed.__name__


def _is_last(launch: Launch, trouble: Failure) -> bool:
    """Return True if the launch has reached its limit of retries."""
    crashed = launch.crashed_builds + _is_crash(trouble)
    return launch.retries >= RETRIES or (_is_crash(trouble) and crashed >= MOST_CRASHED_BUILDS)


def _waiting(trouble: Failure, stage: Stage) -> tuple[Event, ...]:
    phase = LAUNCHING.phase if stage is Stage.STARTING else Phase.WAITING
    return (Event(phase=phase, message="", trouble=trouble),)


@dataclass(frozen=True)
class RunStep(Generic[Step]):
    """Runner of a launch's step. Errors of the table itself are passed on: the queue brings the message again.

    The start is noted before the step runs. So a step that ends its process is recognised: it neither moved the launch on nor
    reported back. Two deliveries of one message may both be under way; a third waits.
    """

    step: Callable[[Step], None]
    stage: Stage
    launches: Launches
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
                raise  # the step was taken, but waiting for the build failed: the queue brings the message again
            if launch.step == message.step:
                self.retry(launch, Failure.of(error), self.stage)

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
