"""Something happened to a build: ask the build service how it stands, and tell everybody who waits."""

from dataclasses import dataclass

from bindery.domain.builds import BuildState
from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import BuildLost
from bindery.domain.failure import Failure
from bindery.domain.launch import Stage
from bindery.domain.messages import BuildChanged
from bindery.ports.build_service import BuildService
from bindery.state.counters import Counters
from bindery.state.environments import Environments
from bindery.state.launches import Launches
from bindery.usecases.count_launch import SECONDS
from bindery.usecases.move_on import MoveOn


@dataclass(frozen=True)
class RecordBuild:
    """Events are hints: they may be late, doubled, out of order. The outcome is written first, each waiter removed after it moved on."""

    environments: Environments
    launches: Launches
    builds: BuildService
    counters: Counters
    move_on: MoveOn

    def __call__(self, changed: BuildChanged) -> None:
        environment = self.environments.find(changed.environment)
        if environment is None or environment.attempt != changed.attempt:
            return
        if environment.state is EnvironmentState.BUILDING:
            self._ask(environment)
        ended = self.environments.find(changed.environment)
        if ended and ended.attempt == changed.attempt and ended.state is not EnvironmentState.BUILDING:
            self._tell_waiters(ended)

    def _ask(self, environment: Environment) -> None:
        handle = self.environments.handle(environment.key, environment.attempt)
        if handle is None:  # not started yet; reconcile sees to that
            return
        report = self.builds.look(handle)
        match report.state:
            case BuildState.RUNNING:
                return
            case BuildState.SUCCEEDED:
                ended = self.environments.finish(environment.key, environment.attempt, image=report.image)
            case BuildState.FAILED:
                ended = self.environments.finish(environment.key, environment.attempt, failure=report.failure)
            case BuildState.UNKNOWN:
                lost = Failure.of(BuildLost())
                ended = self.environments.finish(environment.key, environment.attempt, failure=lost)
        if ended and ended.ended_at:
            status = "success" if ended.image else "failure"
            self.counters.add("binderhub_build_count", status=status)
            took = ended.ended_at - ended.claimed_at
            self.counters.observe("binderhub_build_time_seconds", took, SECONDS, status=status)

    def _tell_waiters(self, ended: Environment) -> None:
        for waiter in self.environments.waiters(ended.key):
            launch = self.launches.find(waiter)
            if launch and launch.stage is Stage.BUILDING and launch.environment == ended.key:
                self.move_on(launch)
            self.environments.forget_waiter(ended.key, ended.attempt, waiter)
        self.environments.settle(ended.key, ended.attempt)
