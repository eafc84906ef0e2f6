"""Choose a launch's environment: the shared one of its files, or one for its commit alone. Claim it if it has to be built."""

from dataclasses import dataclass

from bindery.domain.environment import Environment, Identity, Scope
from bindery.domain.errors import HostLimited, HostUnreachable
from bindery.domain.launch import Launch
from bindery.domain.owners import build_share_of
from bindery.domain.repository import Repository
from bindery.ports.build_service import BuildService
from bindery.ports.repository_provider import RepositoryProvider
from bindery.state.build_claims import BuildClaims
from bindery.state.environments import Environments
from bindery.usecases.steps.identify_environment import IdentifyEnvironment
from bindery.usecases.steps.know_commit import KnowCommit


@dataclass(frozen=True)
class ClaimEnvironment:
    """Claimer of environments.

    All commits may use a shared environment. Only a commit on the repository's own branches and tags may build one.

    A stranger can make a commit that a host serves under a repository's address: a pull request, or a fork. Such a commit never
    changes the environment of the repository's branches, and its builds are counted apart. The host is asked only if a build
    would start.
    """

    environments: Environments
    identify: IdentifyEnvironment
    know_commit: KnowCommit
    builds: BuildService
    claims: BuildClaims

    def __call__(self, provider: RepositoryProvider, repository: Repository, launch: Launch) -> Environment:
        """Return the environment. Without a usable image, claim its next attempt for the launch. Raises repository errors."""
        identity = self.identify(provider, repository)
        if repository.may_be_foreign:
            own = identity if identity.scope is Scope.COMMIT else self.identify.of_commit(repository)
            for key in dict.fromkeys((identity.key, own.key)):
                if environment := self.environments.usable(key, self.builds.image_exists):
                    return environment
            repository = self._with_commit_facts(provider, repository)
            identity = identity if identity.may_be_built_from(repository) else own
        return self._claim(identity, repository, launch)

    def _claim(self, identity: Identity, repository: Repository, launch: Launch) -> Environment:
        return self.environments.claim(
            identity,
            repository,
            launch.id,
            self.builds.image_exists,
            prebuild=launch.build_only,
            client=launch.client,
            room=self.claims.room_for(launch.client, build_share_of(repository)),
        )

    def _with_commit_facts(self, provider: RepositoryProvider, repository: Repository) -> Repository:
        """Return the repository as its host knows it, or unchanged if the host does not answer: unknown counts as no."""
        try:
            return self.know_commit(provider, repository)
        except (HostLimited, HostUnreachable):
            return repository
