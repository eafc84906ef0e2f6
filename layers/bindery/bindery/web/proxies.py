"""Client address and scheme behind trusted proxies: `X-Forwarded-For` and `X-Forwarded-Proto`.

Any client can send these headers. They are believed only if the peer of the connection is a proxy of the operator's, and only the
part that this proxy has written. Each proxy adds its own peer's address at the right end of `X-Forwarded-For`
(https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For, "Selecting an IP address").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MOST_HOPS = 20
SCHEMES = ("http", "https")
WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}|\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Proxies:
    """Networks of trusted proxies. Their headers are believed. `Host` is always the request's own: see BINDERY_PUBLIC_URL."""

    trusted: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, networks: Sequence[str]) -> "Proxies":
        """Return the proxies of networks in CIDR notation. Raises ValueError."""
        return cls(tuple(ip_network(network, strict=False) for network in networks))

    def client(self, peer: str, forwarded_for: str) -> str:
        """Return the address of the nearest hop that is no trusted proxy.

        peer: the peer address of the connection. forwarded_for: all values of the header, comma-separated, as received.
        """
        client = peer
        for hop in reversed(forwarded_for.split(",")[-MOST_HOPS:]):
            if not self.trusts(client):
                break
            address = _address(hop)
            if address is None:  # not an address: the client is the proxy that wrote it
                break
            client = str(address)
        return client

    def scheme(self, peer: str, scheme: str, forwarded_proto: str) -> str:
        """Return the scheme of the client's own connection. scheme: that of the peer's connection."""
        return scheme_of(forwarded_proto, scheme) if self.trusts(peer) else scheme

    def trusts(self, address: str) -> bool:
        """Return True if the address belongs to a trusted proxy."""
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self.trusted)


NO_PROXIES = Proxies()


def scheme_of(forwarded_proto: str, otherwise: str) -> str:
    """Return the scheme that the nearest proxy has written last; `otherwise` if that is no scheme."""
    scheme = forwarded_proto.rpartition(",")[2].strip().lower()
    return scheme if scheme in SCHEMES else otherwise


def _address(hop: str) -> IPv4Address | IPv6Address | None:
    """Return a hop's address, which some proxies write with its port; None if it is no address."""
    text = hop.strip()
    if match := WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
