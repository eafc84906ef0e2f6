"""Compute the environment key of a resolved repository, from only those files that its build may depend on."""

from dataclasses import dataclass

from bindery.domain.build_files import configuration
from bindery.domain.environment import Identity, Scope
from bindery.domain.repository import Repository
from bindery.ports.build_service import BuildService
from bindery.ports.repository_provider import RepositoryProvider
from bindery.state.environment_keys import Commits


@dataclass(frozen=True)
class IdentifyEnvironment:
    """Source of environment keys. It asks the host once per commit and builder, then remembers.

    A private repository's environment belongs to its commit alone: its sessions have all files from the image, and fetch no
    files.
    """

    builds: BuildService
    commits: Commits

    def __call__(self, provider: RepositoryProvider, repository: Repository) -> Identity:
        builder = self.builds.name
        if repository.private:
            return self._of_commit(repository, builder)
        # From now on a link to the commit's id counts as the repository's own, also when the branch has moved on.
        identity = self.commits.identity(repository, builder)
        if identity is None:
            identity = self._work_out(provider, repository, builder)
            if repository.on_branch_or_tag:
                self.commits.keep_on_branch_or_tag(repository, found=True)
            self.commits.keep(repository, builder, identity)
        return self._with_history(identity, provider, repository)

    def _with_history(self, identity: Identity, provider: RepositoryProvider, repository: Repository) -> Identity:
        """Return the identity with the parts of `.git` that a build may read: the commit, and the tags at the host."""
        if identity.scope is Scope.FILES:
            return identity
        tags = self.commits.tags(repository, lambda: provider.tags(repository))
        return Identity.of(identity.scope, {**identity.inputs, "commit": repository.ref, "tags": tags})

    def of_commit(self, repository: Repository) -> Identity:
        """Return the identity of the environment for this commit alone."""
        return self._of_commit(repository, self.builds.name)

    def _work_out(self, provider: RepositoryProvider, repository: Repository, builder: str) -> Identity:
        tree = provider.tree(repository)
        if tree is None:
            return self._of_commit(repository, builder)
        inputs = _common(repository, builder)
        config = configuration(tree, lambda entry: provider.read(repository, entry))
        if config.scope is Scope.TREE:
            return Identity.of(Scope.TREE, {**inputs, "tree": tree.id})
        return Identity.of(Scope.FILES, {**inputs, **{f"file {path}": blob for path, blob in config.files.items()}})

    @staticmethod
    def _of_commit(repository: Repository, builder: str) -> Identity:
        return Identity.of(Scope.COMMIT, {**_common(repository, builder), "commit": repository.ref})


def _common(repository: Repository, builder: str) -> dict[str, str]:
    return {"builder": builder, "repository": repository.canonical_url}
