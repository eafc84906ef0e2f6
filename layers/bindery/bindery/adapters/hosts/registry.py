"""Registry of the providers. A new host needs a file in this folder, with a class as in `host_parts.py`, and a line in PROVIDERS."""

from collections.abc import Callable, Mapping
from importlib import import_module

from bindery.adapters.hosts.host_parts import ConfiguredHost, HostParts
from bindery.adapters.http.client import GuardedClient
from bindery.ports.clock import Clock
from bindery.ports.doi_directory import DoiDirectory
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from bindery.settings import Settings

Make = Callable[[Settings, GuardedClient, Table, Clock], RepositoryProvider]


def _host(module: str, name: str) -> Make:
    """Return a function that makes a provider. It imports the provider's class first: most processes use few providers."""

    def make(settings: Settings, client: GuardedClient, table: Table, clock: Clock) -> RepositoryProvider:
        host: ConfiguredHost = getattr(import_module(f"bindery.adapters.hosts.{module}"), name)
        return host.configured(HostParts(settings, client, table, clock))

    return make


PROVIDERS: Mapping[str, Make] = {
    "gh": _host("github.provider", "GitHubProvider"),
    "gist": _host("github.gist", "GistProvider"),
    "gl": _host("gitlab", "GitLabProvider"),
    "git": _host("git", "GitProvider"),
    "zenodo": _host("records.zenodo", "ZenodoProvider"),
    "figshare": _host("records.figshare", "FigshareProvider"),
    "dataverse": _host("records.dataverse", "DataverseProvider"),
    "hydroshare": _host("records.hydroshare", "HydroShareProvider"),
    "ckan": _host("records.ckan", "CkanProvider"),
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
    from bindery.adapters.hosts.records.dois import Dois

    served = [name for name in RECORD_HOSTS if name not in settings.providers_off]
    hosts = {name: record_host(provider(name)) for name in served}
    return RegisteredDois(Dois.configured(HostParts(settings, client, table, clock)), hosts, table, clock)
