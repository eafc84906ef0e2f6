"""Start a claimed attempt in the build service, once."""

from dataclasses import dataclass
from typing import TypeGuard

from bindery.domain.builds import BuildOrder
from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.messages import BuildChanged, BuildRequested
from bindery.ports.build_service import BuildService
from bindery.state.environments import Environments
from bindery.usecases.record_build import RecordBuild


@dataclass(frozen=True)
class StartBuild:
    """seconds: a build's limit."""

    environments: Environments
    builds: BuildService
    record_build: RecordBuild
    seconds: int

    def __call__(self, asked: BuildRequested) -> None:
        environment = self.environments.find(asked.environment)
        handle = self._start(environment) if _wanted(environment, asked) else ""
        self._stop_if_over(asked, handle)
        # It may have ended before anybody knew its handle, and then nobody has heard.
        self.record_build(BuildChanged(environment=asked.environment, attempt=asked.attempt))
        self._stop_if_over(asked, handle)

    def _stop_if_over(self, asked: BuildRequested, handle: str) -> None:
        """The attempt may have ended meanwhile: had the service forgotten it, it would run anew."""
        if handle and not _wanted(self.environments.find(asked.environment), asked):
            self.builds.stop(handle)

    def _start(self, environment: Environment) -> str:
        """The attempt's handle, once it is started."""
        known = self.environments.handle(environment.key, environment.attempt)
        if known:
            return known
        handle = self.builds.start(
            BuildOrder(
                environment=environment.key,
                attempt=environment.attempt,
                repository=environment.repository,
                scope=environment.scope.value,
                seconds=self.seconds,
            )
        )
        self.environments.record_start(environment.key, environment.attempt, handle)
        return handle


def _wanted(environment: Environment | None, asked: BuildRequested) -> TypeGuard[Environment]:
    """Whether this attempt is still to be made."""
    return (
        environment is not None
        and environment.attempt == asked.attempt
        and environment.state is EnvironmentState.BUILDING
    )
