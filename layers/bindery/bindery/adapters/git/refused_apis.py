"""Rule for APIs that other providers use: git links must not use up the rate limits of these hosts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from bindery.adapters.http.address_rules import PORTS, Address, canonical, parsed
from bindery.domain.errors import BadAddress
from bindery.settings import Settings

USUAL_PORTS: Final = frozenset(PORTS.values())


@dataclass(frozen=True)
class RefusedApis:
    """Rule that refuses addresses of APIs. apis: addresses of APIs.

    git_hosts: addresses of servers that also have repositories: only the path of their API is refused.
    """

    apis: Sequence[str] = ()
    git_hosts: Sequence[str] = ()

    @classmethod
    def configured(cls, settings: Settings) -> Self:
        return cls(settings.host_apis, settings.git_servers)

    def check(self, url: str) -> None:
        """Raise BadAddress for an address of an API. url: an address that `parsed` accepts."""
        address = parsed(url)
        for api in self.apis:
            if _same(address, parsed(api)) and (not self._has_git(parsed(api)) or _below(url, api)):
                why = f"{address.host} is asked by its API and keeps no git repository there: take the repository's own page"
                raise BadAddress(url=url, why=why)

    def _has_git(self, api: Address) -> bool:
        return any(_same(api, parsed(host)) for host in self.git_hosts)


def _same(one: Address, other: Address) -> bool:
    """Return True if both addresses are of one server: the default ports of http and https count as the same port."""
    return one.host == other.host and (one.port == other.port or {one.port, other.port} <= USUAL_PORTS)


def _below(url: str, api: str) -> bool:
    path, home = (canonical(each).partition("://")[2].partition("/")[2] for each in (url, api))
    return bool(home) and f"{path}/".lower().startswith(f"{home}/".lower())
