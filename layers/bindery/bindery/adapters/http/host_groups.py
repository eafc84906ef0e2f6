"""Which hosts count as one when requests are shared out: names below one registered domain, addresses of one network."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

GENERIC: Final = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gouv", "govt", "mil", "ne", "net", "nom", "or", "org"}
)
"""Second levels below which countries register names."""


def group_of(host: str) -> str:
    """Return the group of a host as `parsed` spells it.

    A wildcard name has any number of hosts, and an address block too, so neither multiplies a stranger's share. The rule for
    names below countries is approximate: where it is wrong, unrelated hosts share one group's turns.
    """
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.split(".")
        country = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in GENERIC
        return ".".join(labels[-3 if country else -2 :])
    bits = 48 if isinstance(address, IPv6Address) else 24
    return str(ip_network((address, bits), strict=False))
