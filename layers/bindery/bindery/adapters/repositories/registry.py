"""Which providers there are. A host more is one file beside this one, one function and one line here."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bindery.adapters.repositories.guard import GuardedClient
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from bindery.settings import Settings

if TYPE_CHECKING:
    from bindery.adapters.repositories.host_api import Token

Make = Callable[[Settings, GuardedClient, Table, Clock], RepositoryProvider]


def _gh(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.repositories.github import GitHubProvider

    token = _github_token(given, client, clock)
    return GitHubProvider(client, table, clock, api_url=given.github_api_url, url=given.github_url, token=token)


def _github_token(given: Settings, client: GuardedClient, clock: Clock) -> "str | Token":
    if not given.github_app_id:
        return given.github_token.get_secret_value()
    from bindery.adapters.repositories.github_app import GitHubApp

    key = given.github_app_key.get_secret_value()
    return GitHubApp(
        client,
        clock,
        given.github_api_url,
        app=given.github_app_id,
        installation=given.github_app_installation,
        key=key,
    )


def _gist(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.repositories.gist import GistProvider

    return GistProvider(
        client,
        table,
        clock,
        api_url=given.github_api_url,
        url=given.gist_url,
        token=_github_token(given, client, clock),
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
