"""Retry a launch's step after a retryable error, each time later than before; fail the launch when its retries are used up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bindery.domain.errors import BuildCrashed
from bindery.domain.failure import Failure
from bindery.domain.launch import LAUNCHING, Event, Launch, Phase, Stage
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.table import Item
from bindery.state.launches import Launches
from bindery.usecases.steps.end_launch import EndLaunch

DELAYS: dict[Stage, tuple[float, ...]] = {Stage.RESOLVING: (1, 4), Stage.STARTING: (4, 8, 16)}
RETRIES = 8
MOST_CRASHED_BUILDS: Final = 2
"""Builds of one launch that ended with their process. The build itself may end the process, so a third one is not started."""


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
