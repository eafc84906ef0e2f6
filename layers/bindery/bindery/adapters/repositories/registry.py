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


def _git(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:  # noqa: ARG001 # one shape for all
    from bindery.adapters.repositories.git import GitProvider

    return GitProvider(client, clock)


PROVIDERS: Mapping[str, Make] = {
    "gh": _gh,
    "git": _git,
}
