"""Which providers there are. A host more is one file beside this one, one function and one line here."""

from collections.abc import Callable, Mapping

from bindery.adapters.repositories.guard import GuardedClient
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from bindery.settings import Settings

Make = Callable[[Settings, GuardedClient, Table, Clock], RepositoryProvider]


def _gh(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.repositories.github import GitHubProvider

    token = given.github_token.get_secret_value()
    return GitHubProvider(client, table, clock, api_url=given.github_api_url, url=given.github_url, token=token)


def _gist(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.repositories.gist import GistProvider

    return GistProvider(
        client,
        table,
        clock,
        api_url=given.github_api_url,
        url=given.gist_url,
        token=given.github_token.get_secret_value(),
        secret=given.secret_gists,
    )


def _gl(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.repositories.gitlab import GitLabProvider

    token = given.gitlab_token.get_secret_value()
    return GitLabProvider(client, table, clock, url=given.gitlab_url, token=token)


def _git(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:  # noqa: ARG001 # one shape for all
    from bindery.adapters.repositories.git import GitProvider

    return GitProvider(client, clock)


PROVIDERS: Mapping[str, Make] = {
    "gh": _gh,
    "gist": _gist,
    "gl": _gl,
    "git": _git,
}


def make_providers(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> dict[str, RepositoryProvider]:
    """Every provider by id, in the order in which they are shown."""
    return {name: make(given, client, table, clock) for name, make in PROVIDERS.items()}
