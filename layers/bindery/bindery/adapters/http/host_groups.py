"""Groups of hosts that share one request limit: names below one registered domain, or addresses of one network."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

GENERIC: Final = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gouv", "govt", "mil", "ne", "net", "nom", "or", "org"}
)
"""Second-level domains below which countries register names."""


def group_of(host: str) -> str:
    """Return the group of a host. host: as `parsed` spells it.

    A wildcard name and an address block each have any number of hosts. Grouping keeps them from multiplying one visitor's share.
    The rule for names below countries is approximate: if it is wrong, unrelated hosts share one group's turns.
    """
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.split(".")
        country = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in GENERIC
        return ".".join(labels[-3 if country else -2 :])
    bits = 48 if isinstance(address, IPv6Address) else 24
    return str(ip_network((address, bits), strict=False))
