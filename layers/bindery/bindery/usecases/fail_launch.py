"""A message that could not be handled came out at the dead-letter queue: what waited for it ends with a reason."""

import logging
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from bindery.domain.errors import StepLost
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged
from bindery.state.environments import Environments
from bindery.state.launches import Launches
from bindery.usecases.end_launch import EndLaunch
from bindery.usecases.record_build import RecordBuild

logger = logging.getLogger("bindery")


class _Any(BaseModel):
    """What any message of any version may bear."""

    launch: str | None = None
    step: int | None = None
    environment: str | None = None
    attempt: int | None = None
    session: str | None = None


@dataclass(frozen=True)
class FailLaunch:
    """Reads only what the message names, so that one of a version that nobody understands ends its launch too."""

    launches: Launches
    environments: Environments
    end_launch: EndLaunch
    record_build: RecordBuild

    def __call__(self, body: str) -> None:
        try:
            dead = _Any.model_validate_json(body)
        except ValidationError:
            logger.error("a dead letter that names nothing: %d characters", len(body))
            return
        if dead.launch:
            launch = self.launches.find(dead.launch)
            trouble = launch.trouble.kind if launch and launch.trouble else "a step that crashed"
            if launch:
                self.end_launch(launch.id, StepLost(trouble=trouble), dead.step)
        elif dead.environment and dead.attempt:
            self._fail_attempt(dead.environment, dead.attempt)
        elif dead.session:
            logger.error("session %s could not be stopped; reconcile asks again", dead.session)

    def _fail_attempt(self, environment: str, attempt: int) -> None:
        """Only an attempt that never started is over; one that runs is looked at by reconcile."""
        if self.environments.handle(environment, attempt) is None:
            lost = Failure.of(StepLost(trouble="the build could not be started"))
            self.environments.finish(environment, attempt, failure=lost)
            self.record_build(BuildChanged(environment=environment, attempt=attempt))
