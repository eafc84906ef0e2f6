"""Build orders and build reports."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from bindery.domain.environment import Environment
from bindery.domain.failure import Failure
from bindery.domain.repository import Repository


class BuildOrder(BaseModel):
    """Order of one build attempt for one environment.

    scope: the part of the repository that the key covers (`files`, `tree` or `commit`); the build may read only this part.
    files: with scope `files`, the paths of those files: the build reads no other file of the repository.
    seconds: the build's timeout; the service ends the attempt after it.
    """

    model_config = ConfigDict(frozen=True)

    environment: str
    attempt: int
    repository: Repository
    scope: str
    files: tuple[str, ...] = ()
    seconds: int

    @classmethod
    def of(cls, environment: Environment, seconds: int) -> "BuildOrder":
        """Return the order for the environment's newest attempt."""
        return cls(
            environment=environment.key,
            attempt=environment.attempt,
            repository=environment.repository,
            scope=environment.scope.value,
            files=environment.files,
            seconds=seconds,
        )


class BuildState(StrEnum):
    """State of a build attempt."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class BuildReport:
    """Report of the build service on an attempt.

    image: set if it succeeded. failure: set if it failed. UNKNOWN: the service never had the attempt, or has forgotten it.
    """

    state: BuildState
    image: str = ""
    failure: Failure | None = None
