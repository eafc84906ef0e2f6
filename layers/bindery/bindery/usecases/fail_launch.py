"""Handle a dead letter: fail the launches that waited for its message."""

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
from bindery.usecases.steps.end_launch import EndLaunch

logger = logging.getLogger("bindery")
LONGEST_NAME = 100


class _Named(BaseModel):
    """Fields that a message of any version may have, of any type."""

    launch: object = None
    step: object = None
    environment: object = None
    attempt: object = None
    session: object = None


@dataclass(frozen=True)
class FailLaunch:
    """Handler of dead letters. It reads only the ids in the message, so a message of an unknown version ends its launch, too."""

    launches: Launches
    environments: Environments
    end_launch: EndLaunch
    advance: Advance
    record_build: RecordBuild

    def __call__(self, body: str) -> None:
        try:
            message = _Named.model_validate_json(body)
        except ValidationError:
            message = _Named()
        if launch := _name(message.launch):
            self._fail(launch, _number(message.step))
        elif (environment := _name(message.environment)) and (attempt := _number(message.attempt)):
            self._fail_those_who_wait(environment, attempt)
        elif session := _name(message.session):
            logger.error("session %s could not be stopped; reconcile asks again", session)
        else:
            logger.error("a dead letter without any id: %d characters", len(body))

    def _fail(self, name: str, step: int | None) -> None:
        launch = self.launches.find(name)
        if launch and step is not None and launch.step == step + 1 and not launch.ended:
            self.advance(launch)  # the step was taken, but its function may have sent no next message
        elif launch:
            trouble = launch.trouble.kind if launch.trouble else "a step that crashed"
            self.end_launch(launch.id, StepFailed(trouble=trouble), step)

    def _fail_those_who_wait(self, environment: str, attempt: int) -> None:
        """Fail the launches that wait for an attempt.

        The attempt itself goes on: only the build service's report ends it. It may run although its handle could not be written.
        """
        if self.environments.handle(environment, attempt) is not None:
            self.record_build(BuildChanged(environment=environment, attempt=attempt))
            return
        failure = Failure.of(StepFailed(trouble="the build could not be started"))
        for waiters in self.environments.waiters(environment, attempt):
            launches = self.launches.find_all([waiter.launch for waiter in waiters])
            waiting = [each for each in launches if each[1].stage is Stage.BUILDING and each[1].attempt == attempt]
            self.end_launch.all(waiting, failure)
            self.environments.forget_all(waiters)


def _name(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= LONGEST_NAME else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
