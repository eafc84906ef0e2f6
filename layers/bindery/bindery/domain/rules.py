"""What the operator allows: who, which repositories, how many."""

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import unquote

from bindery.domain.errors import ClientBanned, SpecBanned


@dataclass(frozen=True)
class Limits:
    """Most sessions at one time. None: no limit."""

    total: int | None = None
    per_repository: int | None = None


@dataclass(frozen=True)
class SpecRule:
    """quota holds for specs that match `pattern`, a regular expression from the spec's start, in any case."""

    pattern: str
    quota: int


@dataclass(frozen=True)
class Rules:
    """As BinderHub's settings: banned beats allowed; the first rule that matches a spec sets its quota.

    favoured: patterns of specs whose limit is `favoured_quota`. banned_networks: in CIDR notation.
    """

    total: int | None = None
    per_repository: int | None = None
    favoured_quota: int | None = None
    favoured: tuple[str, ...] = ()
    spec_rules: tuple[SpecRule, ...] = ()
    banned_specs: tuple[str, ...] = ()
    allowed_specs: tuple[str, ...] = ()
    banned_networks: tuple[str, ...] = ()

    def check_client(self, client: str) -> None:
        """Raises ClientBanned. An address that is none is nobody's."""
        if is_in(client, self.banned_networks):
            raise ClientBanned

    def check_spec(self, spec: str, canonical: str) -> None:
        """Raises SpecBanned. A ban holds however the spec is spelled: `canonical` is the one spelling of what it means."""
        spellings = (spec, unquote(spec), canonical)
        if any(_any_matches(self.banned_specs, spelling) for spelling in spellings):
            raise SpecBanned(spec=spec)
        if self.allowed_specs and not any(_any_matches(self.allowed_specs, each) for each in (spec, canonical)):
            raise SpecBanned(spec=spec)

    def limits(self, spec: str) -> Limits:
        """How many sessions there may be when this spec is launched."""
        for rule in self.spec_rules:
            if _any_matches((rule.pattern,), spec):
                return Limits(self.total, rule.quota)
        if self.favoured_quota is not None and _any_matches(self.favoured, spec):
            return Limits(self.total, self.favoured_quota)
        return Limits(self.total, self.per_repository)


def is_in(client: str, networks: tuple[str, ...]) -> bool:
    """True if a client's address lies in one of the networks (CIDR); False for text that is no address."""
    try:
        address = ip_address(client)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # as a dual-stack socket names IPv4 clients
    return any(address in ip_network(network, strict=False) for network in networks)


def _any_matches(patterns: tuple[str, ...], spec: str) -> bool:
    return any(re.match(pattern, spec, re.IGNORECASE) for pattern in patterns)
