"""What becomes of a step that raised: the one place that tells trouble that may pass from trouble that will not."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from bindery.domain.errors import Permanent, Retryable, Stale, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import Stage
from bindery.domain.messages import ResolveRequested, SessionRequested
from bindery.state.launches import Launches
from bindery.usecases.end_launch import EndLaunch
from bindery.usecases.try_again import TryAgain

Step = TypeVar("Step", ResolveRequested, SessionRequested)


@dataclass(frozen=True)
class Persevere(Generic[Step]):
    """Runs a launch's step. Trouble with the table itself is passed on: the queue brings the message again."""

    step: Callable[[Step], None]
    stage: Stage
    launches: Launches
    end_launch: EndLaunch
    try_again: TryAgain

    def __call__(self, message: Step, received: int = 1) -> None:
        """received: how often its queue has brought this message."""
        if received > 1:
            with suppress(Retryable):  # a note for the statistics must not cost the step
                self.launches.change(message.launch, lambda now: now.rescued() if now.awaits(message.step) else None)
        try:
            self.step(message)
        except (Throttled, Stale):
            raise
        except Permanent as error:
            self.end_launch(message.launch, error, message.step)
        except Retryable as error:
            launch = self.launches.get(message.launch)
            if launch.stage is Stage.BUILDING and launch.step == message.step + 1:
                raise  # the step was taken, and waiting for the build met trouble: the queue brings it again
            if launch.step == message.step:
                self.try_again(launch, Failure.of(error), self.stage)
