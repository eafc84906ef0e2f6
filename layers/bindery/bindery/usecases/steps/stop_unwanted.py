"""Stop a build some time after the last launch that waited for it has ended."""

import logging
from dataclasses import dataclass

from bindery.domain.environment import Environment
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.state.environments import LOOK_AGAIN_SECONDS, Environments
from bindery.usecases.steps.wanted_builds import WantedBuilds

logger = logging.getLogger("bindery")
GRACE_SECONDS = 60
"""Seconds from the end of the last launch that waited, so that a visitor that launches again finds the build under way."""


@dataclass(frozen=True)
class StopUnwanted:
    """Stopper of builds without waiting launches.

    It only requests the stop. The attempt ends when the build service confirms it, as after any end.

    A launch that registers as a waiter before the read here cancels the stop. A launch that registers after it gets the outcome
    `BuildStopped` and goes on with the next attempt, so it never waits for a stopped build.
    """

    environments: Environments
    wanted: WantedBuilds
    builds: BuildService
    clock: Clock

    def __call__(self, environment: Environment, handle: str) -> float:
        """Stop the attempt if its grace is over. Idempotent. Return the seconds until the next check.

        Raises BuildServiceDown.
        """
        left_at = self.wanted.left_at(environment)
        if left_at is None:
            return LOOK_AGAIN_SECONDS
        remaining = left_at + GRACE_SECONDS - self.clock.now()
        if remaining > 0:
            return remaining
        # Before the stop, so that the recorded end does not count as the build's own failure.
        if self.environments.mark_unwanted(environment.key, environment.attempt):
            logger.info("build %s is stopped: no launch waits for it", handle)
            self.builds.stop(handle)
        return LOOK_AGAIN_SECONDS
