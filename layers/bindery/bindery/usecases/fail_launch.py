"""A message that could not be handled came out at the dead-letter queue: what waited for it ends with a reason."""

import logging
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from bindery.domain.errors import StepFailed
from bindery.domain.failure import Failure
from bindery.domain.launch import Stage
from bindery.domain.messages import BuildChanged
from bindery.state.environments import Environments
from bindery.state.launches import Launches
from bindery.usecases.record_build import RecordBuild
from bindery.usecases.steps.advance import Advance
from bindery.usecases.steps.fail import EndLaunch

logger = logging.getLogger("bindery")
LONGEST_NAME = 100


class _Named(BaseModel):
    """What any message of any version may bear, in whatever shape."""

    launch: object = None
    step: object = None
    environment: object = None
    attempt: object = None
    session: object = None


@dataclass(frozen=True)
class FailLaunch:
    """Reads only what the message names, so that one of a version that nobody understands ends its launch too."""

    launches: Launches
    environments: Environments
    end_launch: EndLaunch
    advance: Advance
    record_build: RecordBuild

    def __call__(self, body: str) -> None:
        try:
            dead = _Named.model_validate_json(body)
        except ValidationError:
            dead = _Named()
        if launch := _name(dead.launch):
            self._fail(launch, _number(dead.step))
        elif (environment := _name(dead.environment)) and (attempt := _number(dead.attempt)):
            self._fail_those_who_wait(environment, attempt)
        elif session := _name(dead.session):
            logger.error("session %s could not be stopped; reconcile asks again", session)
        else:
            logger.error("a dead letter that names nothing: %d characters", len(body))

    def _fail(self, name: str, step: int | None) -> None:
        launch = self.launches.find(name)
        if launch and step is not None and launch.step == step + 1 and not launch.ended:
            self.advance(launch)  # the step was taken, and whoever took it may not have seen to the next
        elif launch:
            trouble = launch.trouble.kind if launch.trouble else "a step that crashed"
            self.end_launch(launch.id, StepFailed(trouble=trouble), step)

    def _fail_those_who_wait(self, environment: str, attempt: int) -> None:
        """The attempt itself goes on: only the build service's word ends it, and it may run although nobody could note that."""
        if self.environments.handle(environment, attempt) is not None:
            self.record_build(BuildChanged(environment=environment, attempt=attempt))
            return
        failure = Failure.of(StepFailed(trouble="the build could not be started"))
        for waiters in self.environments.waiters(environment, attempt):
            found = self.launches.find_all([waiter.launch for waiter in waiters])
            waiting = [each for each in found if each[1].stage is Stage.BUILDING and each[1].attempt == attempt]
            self.end_launch.all(waiting, failure)
            self.environments.forget_all(waiters)


def _name(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= LONGEST_NAME else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
