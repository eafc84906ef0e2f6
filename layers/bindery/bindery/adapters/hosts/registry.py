"""Registry of the providers. A new host needs a file in this folder, a function here and a line in PROVIDERS."""

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
    from bindery.adapters.git.refused_apis import RefusedApis
    from bindery.adapters.hosts.records.dois import Dois
    from bindery.adapters.hosts.rest_api import Token

Make = Callable[[Settings, GuardedClient, Table, Clock], RepositoryProvider]


def _gh(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.github.provider import GitHubProvider

    token = _github_token(settings, client, clock)
    return GitHubProvider(
        client,
        table,
        clock,
        api_url=settings.github_api_url,
        url=settings.github_url,
        token=token,
        private=settings.private_repositories,
    )


def _github_token(settings: Settings, client: GuardedClient, clock: Clock) -> str | Token:
    if not settings.github_app_id:
        return settings.github_token.get_secret_value()
    from bindery.adapters.hosts.github.app_tokens import GitHubApp

    key = settings.github_app_key.get_secret_value()
    return GitHubApp(
        client,
        clock,
        settings.github_api_url,
        app=settings.github_app_id,
        installation=settings.github_app_installation,
        key=key,
    )


def _gist(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.github.gist import GistProvider

    return GistProvider(
        client,
        table,
        clock,
        api_url=settings.github_api_url,
        url=settings.gist_url,
        token=_github_token(settings, client, clock),
        secret=settings.secret_gists,
    )


def _gl(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.gitlab import GitLabProvider

    token = settings.gitlab_token.get_secret_value()
    private = settings.private_repositories
    return GitLabProvider(client, table, clock, url=settings.gitlab_url, token=token, private=private)


def _git(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:  # noqa: ARG001 # same signature for all
    from bindery.adapters.hosts.git import GitProvider

    any_case = (settings.github_url, settings.gist_url, settings.gitlab_url)
    return GitProvider(client, clock, refused=refused_apis(settings), any_case=any_case)


def refused_apis(settings: Settings) -> RefusedApis:
    """Return the rule that refuses addresses of APIs that providers use."""
    from bindery.adapters.git.refused_apis import RefusedApis

    records = (settings.zenodo_api_url, settings.figshare_api_url, settings.hydroshare_api_url, settings.doi_url)
    apis = (settings.github_api_url, f"{settings.gitlab_url.rstrip('/')}/api", *records)
    return RefusedApis(apis, (settings.github_url, settings.gist_url, settings.gitlab_url))


def _zenodo(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.zenodo import ZenodoProvider

    return ZenodoProvider(client, table, clock, _dois(settings, client, clock), api_url=settings.zenodo_api_url)


def _figshare(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.figshare import FigshareProvider

    dois, hosts = _dois(settings, client, clock), settings.figshare_hosts
    return FigshareProvider(client, table, clock, dois, api_url=settings.figshare_api_url, hosts=hosts)


def _dataverse(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.dataverse import DataverseProvider

    dois = _dois(settings, client, clock)
    return DataverseProvider(client, table, clock, dois, installations=settings.dataverse_hosts)


def _hydroshare(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
    from bindery.adapters.hosts.records.hydroshare import HydroShareProvider

    return HydroShareProvider(client, table, clock, api_url=settings.hydroshare_api_url)


def _ckan(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:  # noqa: ARG001 # same signature for all
    from bindery.adapters.hosts.records.ckan import CkanProvider

    return CkanProvider(client, table, clock)


def _dois(settings: Settings, client: GuardedClient, clock: Clock) -> Dois:
    from bindery.adapters.hosts.records.dois import Dois

    return Dois(client, clock, settings.doi_url)


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
    settings: Settings,
    client: GuardedClient,
    table: Table,
    clock: Clock,
    provider: Callable[[str], RepositoryProvider],
) -> DoiDirectory:
    """Return the DOI directory for the record hosts that are served."""
    from bindery.adapters.hosts.records.base import RECORD_HOSTS, record_host
    from bindery.adapters.hosts.records.doi_directory import RegisteredDois

    served = [name for name in RECORD_HOSTS if name not in settings.providers_off]
    hosts = {name: record_host(provider(name)) for name in served}
    return RegisteredDois(_dois(settings, client, clock), hosts, table, clock)
