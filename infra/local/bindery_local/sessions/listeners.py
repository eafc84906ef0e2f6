"""Who listens on a port of loopback, as the kernel's tables say: another user of this machine may have taken it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTENS = "0A"
LOOPBACK = frozenset(
    {
        socket.inet_aton("127.0.0.1")[::-1].hex().upper(),
        socket.inet_aton("0.0.0.0")[::-1].hex().upper(),  # noqa: S104  # read from a table, bound by no socket of ours
        "0" * 32,
        "0000000000000000FFFF00000100007F",
    }
)
"""Addresses that answer a connection to 127.0.0.1, as the tables spell them."""


def owners() -> dict[int, set[int]] | None:
    """Ids of the users who listen, by port. None where the system has no such table."""
    found: dict[int, set[int]] = {}
    try:
        for address, state, user in _rows():
            host, _, port = address.partition(":")
            if state == LISTENS and host in LOOPBACK:
                found.setdefault(int(port, 16), set()).add(int(user))
    except OSError:
        return None
    return found


def is_ours(port: int, listening: dict[int, set[int]] | None) -> bool:
    """True if we ourselves, or root, listen on the port, and no other user does. listening: from `owners`."""
    if listening is None:
        return True
    users = listening.get(port, set())
    return bool(users) and users <= {0, os.getuid()}


def _rows() -> Iterator[tuple[str, str, str]]:
    """Local address, state and user of each socket. Raises OSError if there is no table of IPv4."""
    for table in TABLES:
        if table is TABLES[0] or table.exists():
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                yield fields[1], fields[3], fields[7]
