"""Start a claimed attempt in the build service."""

from dataclasses import dataclass

from bindery.domain.builds import BuildOrder
from bindery.domain.environment import EnvironmentState
from bindery.domain.messages import BuildRequested
from bindery.ports.build_service import BuildService
from bindery.state.environments import Environments


@dataclass(frozen=True)
class StartBuild:
    """seconds: a build's limit."""

    environments: Environments
    builds: BuildService
    seconds: int

    def __call__(self, asked: BuildRequested) -> None:
        environment = self.environments.find(asked.environment)
        if environment is None or environment.attempt != asked.attempt:
            return
        if environment.state is not EnvironmentState.BUILDING:
            return
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
