"""Request a launch's next step: send its message, or check its build. Idempotent; any process may call it at any time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from bindery.domain.builds import BuildState
from bindery.domain.environment import Environment
from bindery.domain.errors import BuildAbandoned, BuildCrashed, BuildLost, BuildStopped, ImageGone
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildRequested, SessionRequested
from bindery.ports.build_service import BuildService
from bindery.ports.queue import Queue
from bindery.ports.table import Item
from bindery.state.build_slots import BuildSlots
from bindery.state.environments import Environments
from bindery.usecases.steps.end_launch import EndLaunch
from bindery.usecases.steps.retry import RetryStep

PASSING = frozenset(kind.__name__ for kind in (BuildCrashed, BuildLost, BuildStopped, BuildAbandoned, ImageGone))


@dataclass(frozen=True)
class Advance:
    """Sender of a launch's next step. It makes no decision of a step; it only makes sure that the step is coming."""

    environments: Environments
    slots: BuildSlots
    builds: BuildService
    queue: Queue
    end_launch: EndLaunch
    retry: RetryStep

    def __call__(self, launch: Launch) -> None:
        if launch.stage is Stage.BUILDING:
            self._await_build(launch)
        elif message := launch.next_message:
            self.queue.send(message)

    def _await_build(self, launch: Launch) -> None:
        """Register the launch as a waiter, then read the environment. A process that writes the outcome in between finds the waiter."""
        environment = self.environments.find(launch.environment)
        if _builds_for(environment, launch):
            self.environments.wait(launch.environment, launch.attempt, launch.id)
            environment = self.environments.find(launch.environment)
        if _builds_for(environment, launch):
            self._have_it_started(launch, environment)
            return
        # Before `leave`, as no other process may remove the waiter. After a crash here the message comes again.
        self.environments.forget_waiter(launch.environment, launch.attempt, launch.id)
        self.leave(launch, environment)

    def leave(self, launch: Launch, environment: Environment | None) -> None:
        """Move the launch on from an ended attempt.

        The environment holds the attempt's outcome, unless the next attempt was claimed since.
        """
        failure = self._why_left(launch.environment, launch.attempt, environment)
        if failure is None:
            self.queue.send(SessionRequested(launch=launch.id, step=launch.step))
        elif failure.kind in PASSING:
            self.retry(launch, failure, Stage.RESOLVING)
        else:
            self.end_launch(launch.id, failure, launch.step)

    def leave_all(self, read: Sequence[tuple[Item, Launch]], environment: Environment) -> None:
        """Do the same as `leave` for launches that wait for this environment and were read together."""
        for attempt in {launch.attempt for _, launch in read}:
            group = [each for each in read if each[1].attempt == attempt]
            failure = self._why_left(environment.key, attempt, environment)
            if failure is None:
                self.queue.send_all([SessionRequested(launch=launch.id, step=launch.step) for _, launch in group])
            elif failure.kind in PASSING:
                self.retry.all(group, failure, Stage.RESOLVING)
            else:
                self.end_launch.all(group, failure)

    def _why_left(self, key: str, attempt: int, environment: Environment | None) -> Failure | None:
        """Return the failure that keeps launches from using their attempt; None if the attempt made an image."""
        if environment is not None and environment.attempt == attempt:
            return environment.failure
        return self._failure(key, attempt)

    def _failure(self, key: str, attempt: int) -> Failure:
        """Return the failure of an attempt after which another was claimed, as the build service remembers it."""
        started = self.environments.started(key, attempt)
        if started is None or not started.handle:
            return Failure.of(BuildAbandoned())
        if started.unwanted:
            return Failure.of(BuildStopped())
        report = self.builds.status(started.handle)
        if report.state is BuildState.SUCCEEDED:
            return Failure.of(ImageGone(image=report.image))
        return report.failure or Failure.of(BuildLost())

    def _have_it_started(self, launch: Launch, environment: Environment) -> None:
        key, attempt = environment.key, environment.attempt
        own = environment.claimed_by == launch.id and not self.environments.handle(key, attempt)
        # A prebuild that a visitor waits for does not stay behind the others.
        if own or (environment.prebuild and not launch.build_only and self.slots.is_behind(key, attempt)):
            self.queue.send(BuildRequested(environment=key, attempt=attempt))


def _builds_for(environment: Environment | None, launch: Launch) -> TypeGuard[Environment]:
    return environment is not None and environment.is_making(launch.attempt)
