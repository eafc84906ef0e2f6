"""The operator's rules: which clients and repositories are served, and how many sessions each may have."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from bindery.domain.errors import ClientBanned, SpecBanned
from bindery.domain.rule_pattern import matches


@dataclass(frozen=True)
class Limits:
    """Most sessions at one time: in all, of one repository, of one repository's owner, of one client. None: no limit."""

    total: int | None = None
    per_repository: int | None = None
    per_owner: int | None = None
    per_client: int | None = None


@dataclass(frozen=True)
class SpecRule:
    """A quota of sessions for the repositories that `pattern` matches."""

    pattern: str
    quota: int


@dataclass(frozen=True)
class Rules:
    """Bans beat allow-lists; the first quota rule that matches counts (BinderHub's order).

    Patterns match a repository's name: `<provider>/<canonical spec>`, such as `gh/owner/repository/HEAD`. No other spelling
    is compared, so that two links to one repository get one answer.
    allowed_specs: patterns; if there are any, or only_allowed is set, no other repository is launched.
    favoured: patterns of repositories whose limit is `favoured_quota`. banned_networks: in CIDR notation.
    own_refs_only: true if only commits on a branch or a tag of the repository itself may be launched.
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
        """Raises ClientBanned for an address in a banned network. Unparsable addresses are not banned."""
        if is_in(client, self.banned_networks):
            raise ClientBanned

    def check_spec(self, spec: str, name: str) -> None:
        """Raises SpecBanned for a repository that is banned or not allowed. spec: as in the link, for the message."""
        if _any_matches(self.banned_specs, name):
            raise SpecBanned(spec=spec)
        if (self.allowed_specs or self.only_allowed) and not _any_matches(self.allowed_specs, name):
            raise SpecBanned(spec=spec)

    def limits(self, name: str) -> Limits:
        """Return the most sessions that may run when this repository is launched."""
        for rule in self.spec_rules:
            if matches(rule.pattern, name):
                return self._limits(rule.quota)
        if self.favoured_quota is not None and _any_matches(self.favoured, name):
            return self._limits(self.favoured_quota)
        return self._limits(self.per_repository)

    def _limits(self, per_repository: int | None) -> Limits:
        return Limits(self.total, per_repository, self.per_owner, self.per_client)


def is_in(client: str, networks: tuple[str, ...]) -> bool:
    """True if a client's address lies in one of the networks (CIDR); False for text that is no address."""
    try:
        address = ip_address(client)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # as a dual-stack socket names IPv4 clients
    return any(address in ip_network(network, strict=False) for network in networks)


def _any_matches(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
