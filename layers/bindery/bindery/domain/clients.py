"""Keyed hashes of clients' networks. They are stored instead of addresses.

A hash without a key would not hide an address: there are only 2^32 IPv4 addresses to try. The key is derived from the secret and
from the epoch, and is not stored in any table. Each epoch has new keys, so a client cannot be tracked from one epoch to the next.
"""

import hmac
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

SHORTEST_EPOCH = 86400
"""Seconds."""


@dataclass(frozen=True)
class ClientKeys:
    """Keys of a client. now: its key in this epoch. before: its key in the last epoch while that may still count; otherwise empty."""

    now: str
    before: str = ""


@dataclass(frozen=True)
class Clients:
    """Key derivation for clients. secret: this Bindery's secret. window: the longest time that a client's share is counted, in seconds."""

    secret: str
    window: float

    def keys(self, address: str, at: float) -> ClientKeys:
        """Return the keys of the address's network. at: UTC seconds. Raises ValueError without a secret."""
        if not self.secret:
            raise ValueError("clients are counted under keyed hashes, which needs BINDERY_SECRET")
        length = max(self.window, SHORTEST_EPOCH)
        epoch, age = divmod(at, length)
        network = network_of(address)
        before = self._key(network, int(epoch) - 1) if age < self.window else ""
        return ClientKeys(self._key(network, int(epoch)), before)

    def _key(self, network: str, epoch: int) -> str:
        key = hmac.digest(self.secret.encode(), f"client {epoch}".encode(), "sha256")
        return hmac.digest(key, network.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


def network_of(address: str) -> str:
    """Return the network that counts as one client: the IPv4 address itself, or the /64 of an IPv6 address.

    With a wider IPv4 network, one client would use up its neighbours' share. A single IPv6 customer has a /64 or more, and may
    use another address for each request. Text that is no address is returned unchanged.
    """
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), 64), strict=False))
    return str(parsed) if parsed else address


def is_own_machine(address: str) -> bool:
    """Return whether the client is on the machine that Bindery runs on. Its user does not share the machine with other clients."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed  # dual-stack sockets report IPv4 clients like this
