"""Objects that the constructors of all providers need."""

from dataclasses import dataclass
from typing import Protocol

from bindery.adapters.http.client import GuardedClient
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from bindery.settings import Settings


@dataclass(frozen=True)
class HostParts:
    """Objects that a provider needs. settings: contain the host's address and credentials. table: for caches of responses.

    client: all requests to hosts must be sent through it.
    """

    settings: Settings
    client: GuardedClient
    table: Table
    clock: Clock


class ConfiguredHost(Protocol):
    """Provider class that can be instantiated from the settings."""

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        """Return a provider for the host that the settings describe."""
