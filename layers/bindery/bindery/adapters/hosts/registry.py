"""Which providers there are. A host more is one file beside this one, one function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bindery.adapters.http.client import GuardedClient
from bindery.ports.clock import Clock
from bindery.ports.doi_directory import DoiDirectory
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from bindery.settings import Settings

if TYPE_CHECKING:
    from bindery.adapters.git.no_git import NoGit
    from bindery.adapters.hosts.records.dois import Dois
    from bindery.adapters.hosts.rest_api import Token

Make = Callable[[Settings, GuardedClient, Table, Clock], RepositoryProvider]


def _gh(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.github.provider import GitHubProvider

    token = _github_token(given, client, clock)
    return GitHubProvider(
        client,
        table,
        clock,
        api_url=given.github_api_url,
        url=given.github_url,
        token=token,
        private=given.private_repositories,
    )


def _github_token(given: Settings, client: GuardedClient, clock: Clock) -> str | Token:
    if not given.github_app_id:
        return given.github_token.get_secret_value()
    from bindery.adapters.hosts.github.app_tokens import GitHubApp

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
    from bindery.adapters.hosts.github.gist import GistProvider

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
    from bindery.adapters.hosts.gitlab import GitLabProvider

    token = given.gitlab_token.get_secret_value()
    private = given.private_repositories
    return GitLabProvider(client, table, clock, url=given.gitlab_url, token=token, private=private)


def _git(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:  # noqa: ARG001 # one shape for all
    from bindery.adapters.hosts.git import GitProvider

    any_case = (given.github_url, given.gist_url, given.gitlab_url)
    return GitProvider(client, clock, refused=no_git(given), any_case=any_case)


def no_git(given: Settings) -> NoGit:
    """Return what refuses addresses that providers ask by their API."""
    from bindery.adapters.git.no_git import NoGit

    records = (given.zenodo_api_url, given.figshare_api_url, given.hydroshare_api_url, given.doi_url)
    apis = (given.github_api_url, f"{given.gitlab_url.rstrip('/')}/api", *records)
    return NoGit(apis, (given.github_url, given.gist_url, given.gitlab_url))


def _zenodo(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.zenodo import ZenodoProvider

    return ZenodoProvider(client, table, clock, _dois(given, client, clock), api_url=given.zenodo_api_url)


def _figshare(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.figshare import FigshareProvider

    dois, hosts = _dois(given, client, clock), given.figshare_hosts
    return FigshareProvider(client, table, clock, dois, api_url=given.figshare_api_url, hosts=hosts)


def _dataverse(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.dataverse import DataverseProvider

    dois = _dois(given, client, clock)
    return DataverseProvider(client, table, clock, dois, installations=given.dataverse_hosts)


def _hydroshare(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.hydroshare import HydroShareProvider

    return HydroShareProvider(client, table, clock, api_url=given.hydroshare_api_url)


def _ckan(given: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:  # noqa: ARG001 # one shape for all
    from bindery.adapters.hosts.records.ckan import CkanProvider

    return CkanProvider(client, table, clock)


def _dois(given: Settings, client: GuardedClient, clock: Clock) -> Dois:
    from bindery.adapters.hosts.records.dois import Dois

    return Dois(client, clock, given.doi_url)


PROVIDERS: Mapping[str, Make] = {
    "gh": _gh,
    "gist": _gist,
    "gl": _gl,
    "git": _git,
    "zenodo": _zenodo,
    "figshare": _figshare,
    "dataverse": _dataverse,
    "hydroshare": _hydroshare,
    "ckan": _ckan,
}


def make_doi_directory(
    given: Settings,
    client: GuardedClient,
    table: Table,
    clock: Clock,
    provider: Callable[[str], RepositoryProvider],
) -> DoiDirectory:
    """Where records live, among the hosts of records that there are."""
    from bindery.adapters.hosts.records.base import RECORD_HOSTS, record_host
    from bindery.adapters.hosts.records.doi_directory import RegisteredDois

    served = [name for name in RECORD_HOSTS if name not in given.providers_off]
    hosts = {name: record_host(provider(name)) for name in served}
    return RegisteredDois(_dois(given, client, clock), hosts, table, clock)
