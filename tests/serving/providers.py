"""Every provider, made from the settings."""

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.registry import PROVIDERS
from bindery.adapters.http.client import GuardedClient
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider
from bindery.settings import Settings
from bindery_local.sqlite_table import SqliteTable


def every_provider(
    client: GuardedClient, settings: Settings | None = None, clock: Clock | None = None
) -> dict[str, RepositoryProvider]:
    """Return the providers by id, in the order in which they are shown, on a table of their own."""
    table, chosen, time = SqliteTable(None), settings or Settings(), clock or SystemClock()
    return {name: make(chosen, client, table, time) for name, make in PROVIDERS.items()}
