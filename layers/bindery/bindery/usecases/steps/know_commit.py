"""Find out whether a commit is on a branch or a tag of its repository itself, or of a pull request or fork."""

from dataclasses import dataclass

from bindery.domain.repository import Repository
from bindery.ports.repository_provider import RepositoryProvider
from bindery.state.environment_keys import Commits


@dataclass(frozen=True)
class KnowCommit:
    """Check of a commit's origin.

    The result comes with the ref, from the table, or from the host, in this order. The host's answer is stored.
    """

    commits: Commits

    def __call__(self, provider: RepositoryProvider, repository: Repository) -> Repository:
        """Return the repository with `on_branch_or_tag` set if its commit is the repository's own.

        Raises HostLimited, HostUnreachable.
        """
        if repository.on_branch_or_tag:
            return repository
        is_own = self.commits.on_branch_or_tag(repository)
        if is_own is None:
            is_own = provider.on_branch_or_tag(repository)
            self.commits.keep_on_branch_or_tag(repository, is_own)
        return repository.model_copy(update={"on_branch_or_tag": is_own})
