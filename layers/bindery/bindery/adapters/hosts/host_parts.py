"""Parts that every provider is made from."""

from dataclasses import dataclass
from typing import Protocol

from bindery.adapters.http.client import GuardedClient
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from bindery.settings import Settings


@dataclass(frozen=True)
class HostParts:
    """Parts for a provider. settings: with the host's address and credentials. client: the only way to send requests to a host.

    table: for caches of the host's responses.
    """

    settings: Settings
    client: GuardedClient
    table: Table
    clock: Clock


class ConfiguredHost(Protocol):
    """Class of a provider."""

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        """Return the provider with its settings."""
