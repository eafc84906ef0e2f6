"""Resolve a launch's repository, then give it a session, a build, or a place among the waiters of a build."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bindery.domain.access_policy import Rules
from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import ForeignCommit, RepositoryNotFound
from bindery.domain.launch import FOUND, WAITING, Event, Launch, Phase, Stage
from bindery.domain.owners import owner_of
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.deadline import within
from bindery.ports.repository_provider import RepositoryProvider, Resolved
from bindery.state.launches import Launches
from bindery.state.quotas import Quotas
from bindery.usecases.steps.advance import Advance
from bindery.usecases.steps.claim_environment import ClaimEnvironment
from bindery.usecases.steps.know_commit import KnowCommit

HOST_SECONDS = (40.0, 20.0, 20.0)
"""Seconds that the first try and each retry may spend on hosts: ref, listing and files. Together less than the function's timeout."""


@dataclass(frozen=True)
class ResolveRepository:
    """Step 1 of every launch.

    is_internal: True for an address at a host that only the operator's own network may reach.
    """

    launches: Launches
    provider: Callable[[str], RepositoryProvider]
    know_commit: KnowCommit
    claim: ClaimEnvironment
    quotas: Quotas
    rules: Callable[[], Rules]
    advance: Advance
    clock: Clock
    is_internal: Callable[[str], bool]

    def __call__(self, launch: Launch) -> None:
        if launch.stage is not Stage.RESOLVING:
            return
        provider = self.provider(launch.provider)
        with within(HOST_SECONDS[min(launch.tries, len(HOST_SECONDS) - 1)]):
            resolved = self._resolved(launch, provider)
            if not launch.session:  # a launch that is resolved again may hold a place already
                owner = owner_of(launch.provider, launch.repo_url)
                self.quotas.check(launch.repo_url, self.rules().limits(launch.name), owner)
            environment = self.claim(provider, resolved.repository, launch)
        note = (Event(phase=Phase.WAITING, message=resolved.note + "\n"),) if resolved.note else ()

        def next_step(now: Launch) -> Launch | None:
            if not now.awaits(launch.step):
                return None
            return self._towards(now, environment, resolved.repository, note)

        moved = self.launches.change(launch.id, next_step)
        if moved:
            self.advance(moved)

    def _resolved(self, launch: Launch, provider: RepositoryProvider) -> Resolved:
        """Return the launch's repository. A launch that is resolved again keeps its commit: its session may hold that commit's files."""
        resolved = Resolved(launch.repository) if launch.repository else provider.resolve(launch.spec)
        if launch.cross_site and self._is_closed(resolved.repository):
            # The same error as for a private repository that is not allowed.
            raise RepositoryNotFound(url=resolved.repository.repo_url)
        if self.rules().own_refs_only:
            return replace(resolved, repository=self._own(provider, resolved.repository))
        return resolved

    def _is_closed(self, repository: Repository) -> bool:
        """Return True if the requesting page may have no access to the repository, while Bindery has it."""
        return repository.private or any(map(self.is_internal, (repository.clone_url, repository.repo_url)))

    def _own(self, provider: RepositoryProvider, repository: Repository) -> Repository:
        """Return the repository, known to be at a commit of its own. Raises ForeignCommit."""
        repository = self.know_commit(provider, repository)
        if not repository.on_branch_or_tag:
            raise ForeignCommit(url=repository.repo_url, ref=repository.ref)
        return repository

    def _towards(
        self, launch: Launch, environment: Environment, repository: Repository, note: tuple[Event, ...]
    ) -> Launch:
        fields = {
            "repository": repository,
            "environment": environment.key,
            "attempt": environment.attempt,
            "image": environment.image,
        }
        if environment.state is EnvironmentState.READY:
            return launch.moved(Stage.STARTING, self.clock.now(), *note, FOUND, **fields)
        return launch.moved(Stage.BUILDING, self.clock.now(), *note, WAITING, **fields)
