"""What a build is asked for and how it went."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from bindery.domain.environment import Environment
from bindery.domain.failure import Failure
from bindery.domain.repository import Repository


class BuildOrder(BaseModel):
    """One attempt at one environment. scope: what the key covers (`files`, `tree` or `commit`), so what a build may read.

    files: with scope `files`, the paths of those files: the build reads no other file of the repository.
    seconds: the build's limit; the service ends the attempt when it is over.
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
        """For the environment's newest attempt."""
        return cls(
            environment=environment.key,
            attempt=environment.attempt,
            repository=environment.repository,
            scope=environment.scope.value,
            files=environment.files,
            seconds=seconds,
        )


class BuildState(StrEnum):
    """How far an attempt has come."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class BuildReport:
    """The build service's own word on an attempt. image: when succeeded. failure: when failed. UNKNOWN: never heard of, or forgotten."""

    state: BuildState
    image: str = ""
    failure: Failure | None = None
