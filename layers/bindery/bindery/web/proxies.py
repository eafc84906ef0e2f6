"""Who the client is where trusted proxies stand between: `X-Forwarded-For` and `X-Forwarded-Proto`.

Anybody can send these headers. They say something only where the peer of the connection is a proxy of the operator's, and then only
what that proxy has written: each proxy adds its own peer's address at the right end of `X-Forwarded-For`
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
    """trusted: networks of proxies whose headers are believed. `Host` is always the request's own: see BINDERY_PUBLIC_URL."""

    trusted: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, networks: Sequence[str]) -> "Proxies":
        """From CIDR notation. Raises ValueError."""
        return cls(tuple(ip_network(network, strict=False) for network in networks))

    def client(self, peer: str, forwarded_for: str) -> str:
        """Return the address of the first hop, seen from here, that is no trusted proxy.

        peer: whose connection it is. forwarded_for: all values of the header, comma-separated, as received.
        """
        client = peer
        for hop in reversed(forwarded_for.split(",")[-MOST_HOPS:]):
            if not self.trusts(client):
                break
            address = _address(hop)
            if address is None:  # not an address: the proxy that wrote it is the last one known
                break
            client = str(address)
        return client

    def scheme(self, peer: str, scheme: str, forwarded_proto: str) -> str:
        """Return what the client's own connection speaks. scheme: that of the peer's connection."""
        return scheme_of(forwarded_proto, scheme) if self.trusts(peer) else scheme

    def trusts(self, address: str) -> bool:
        """Return whether the address is a trusted proxy's."""
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self.trusted)


NO_PROXIES = Proxies()


def scheme_of(forwarded_proto: str, otherwise: str) -> str:
    """Return the scheme that the nearest proxy has written last; `otherwise` if it is none."""
    told = forwarded_proto.rpartition(",")[2].strip().lower()
    return told if told in SCHEMES else otherwise


def _address(hop: str) -> IPv4Address | IPv6Address | None:
    """A hop's address, which some proxies write with its port."""
    text = hop.strip()
    if match := WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
