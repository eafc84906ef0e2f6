"""Resolve a launch's repository, then give it a session, a build, or a place among those who wait for one."""

from collections.abc import Callable
from dataclasses import dataclass

from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import RepositoryNotFound
from bindery.domain.launch import FOUND, WAITING, Event, Launch, Phase, Stage
from bindery.domain.messages import ResolveRequested
from bindery.domain.repository import Repository
from bindery.domain.rules import Rules
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider, Resolved
from bindery.state.environments import Environments
from bindery.state.launches import Launches
from bindery.state.quotas import Quotas
from bindery.usecases.identify_environment import IdentifyEnvironment
from bindery.usecases.move_on import MoveOn


@dataclass(frozen=True)
class ResolveRepository:
    """Step 1 of every launch. Told twice, it only makes sure that step 2 is coming."""

    launches: Launches
    environments: Environments
    provider: Callable[[str], RepositoryProvider]
    identify: IdentifyEnvironment
    builds: BuildService
    quotas: Quotas
    rules: Rules
    move_on: MoveOn
    clock: Clock

    def __call__(self, asked: ResolveRequested) -> None:
        launch = self.launches.get(asked.launch)
        if launch.step == asked.step + 1:
            self.move_on(launch)
        if launch.step != asked.step or launch.stage is not Stage.RESOLVING:
            return
        provider = self.provider(launch.provider)
        # One that comes back stays with its commit: a session of its own may already hold that commit's files.
        resolved = Resolved(launch.repository) if launch.repository else provider.resolve(launch.spec)
        if launch.cross_site and resolved.repository.private:
            raise RepositoryNotFound(url=resolved.repository.repo_url)  # as of one that is not allowed
        identity = self.identify(provider, resolved.repository)
        if not launch.session:  # one that is resolved again may hold a place already
            self.quotas.check(launch.repo_url, self.rules.limits(launch.spec))
        environment = self.environments.claim(
            identity, resolved.repository, launch.id, self.builds.has, prebuild=launch.build_only
        )
        note = (Event(phase=Phase.WAITING, message=resolved.note + "\n"),) if resolved.note else ()

        def next_step(now: Launch) -> Launch | None:
            if not now.awaits(asked.step):
                return None
            return self._towards(now, environment, resolved.repository, note)

        moved = self.launches.change(launch.id, next_step)
        if moved:
            self.move_on(moved)

    def _towards(
        self, launch: Launch, environment: Environment, repository: Repository, note: tuple[Event, ...]
    ) -> Launch:
        known = {
            "repository": repository,
            "environment": environment.key,
            "attempt": environment.attempt,
            "image": environment.image,
        }
        if environment.state is EnvironmentState.READY:
            return launch.moved(Stage.STARTING, self.clock.now(), *note, FOUND, **known)
        return launch.moved(Stage.BUILDING, self.clock.now(), *note, WAITING, **known)
