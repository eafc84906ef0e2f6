"""The operator's rules: bans of clients, bans and allow-lists of repositories, and limits of sessions."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from bindery.domain.errors import ClientBanned, SpecBanned
from bindery.domain.rule_pattern import matches


@dataclass(frozen=True)
class Limits:
    """Limits of sessions at one time: in total, per repository, per owner of repositories, per client. None: no limit."""

    total: int | None = None
    per_repository: int | None = None
    per_owner: int | None = None
    per_client: int | None = None


@dataclass(frozen=True)
class SpecRule:
    """Quota of sessions for each repository that `pattern` matches."""

    pattern: str
    quota: int


@dataclass(frozen=True)
class Rules:
    """Rules of the operator. Bans take precedence over allow-lists. The first matching rule of spec_rules applies, as in BinderHub.

    Patterns match the name of a launch: `<provider>/<canonical spec>`, including the ref, such as `gh/owner/repository/HEAD`. Different
    spellings of one spec have one canonical form, so they get the same result.
    allowed_specs: patterns. If there are any, or only_allowed is set, other repositories are not launched.
    favoured: patterns of repositories with the limit `favoured_quota`, if no rule of spec_rules matches. banned_networks: in CIDR notation.
    own_refs_only: True if only commits on a branch or a tag of the repository itself may be launched.
    """

    total: int | None = None
    per_repository: int | None = None
    per_owner: int | None = None
    per_client: int | None = None
    favoured_quota: int | None = None
    favoured: tuple[str, ...] = ()
    spec_rules: tuple[SpecRule, ...] = ()
    banned_specs: tuple[str, ...] = ()
    allowed_specs: tuple[str, ...] = ()
    banned_networks: tuple[str, ...] = ()
    only_allowed: bool = False
    own_refs_only: bool = False

    def check_client(self, client: str) -> None:
        """Raise ClientBanned for an address in a banned network. Text that is not an address is not banned."""
        if is_in_networks(client, self.banned_networks):
            raise ClientBanned

    def check_spec(self, spec: str, name: str) -> None:
        """Raise SpecBanned for a repository that is banned or not allowed. spec: as in the link, for the message."""
        if _any_matches(self.banned_specs, name):
            raise SpecBanned(spec=spec)
        if (self.allowed_specs or self.only_allowed) and not _any_matches(self.allowed_specs, name):
            raise SpecBanned(spec=spec)

    def limits(self, name: str) -> Limits:
        """Return the limits of sessions that apply to a launch of this repository."""
        for rule in self.spec_rules:
            if matches(rule.pattern, name):
                return self._limits(rule.quota)
        if self.favoured_quota is not None and _any_matches(self.favoured, name):
            return self._limits(self.favoured_quota)
        return self._limits(self.per_repository)

    def _limits(self, per_repository: int | None) -> Limits:
        return Limits(self.total, per_repository, self.per_owner, self.per_client)


def is_in_networks(client: str, networks: tuple[str, ...]) -> bool:
    """Return True if the client's address is in one of the networks (CIDR); False for text that is not an address."""
    try:
        address = ip_address(client)
    except ValueError:
        return False
    address = (
        getattr(address, "ipv4_mapped", None) or address
    )  # dual-stack sockets report IPv4 clients as ::ffff:a.b.c.d
    return any(address in ip_network(network, strict=False) for network in networks)


def _any_matches(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
