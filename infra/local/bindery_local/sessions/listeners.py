"""Listeners on loopback ports, from the kernel's tables: another user of this machine may have taken a port."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTENS = "0A"
LOOPBACK = frozenset(
    {
        socket.inet_aton("127.0.0.1")[::-1].hex().upper(),
        socket.inet_aton("0.0.0.0")[::-1].hex().upper(),  # noqa: S104  # read from a table, not bound
        "0" * 32,
        "0000000000000000FFFF00000100007F",
    }
)
"""Addresses that accept a connection to 127.0.0.1, in the tables' format."""


def owners() -> dict[int, set[int]] | None:
    """Return the ids of the listening users, by port. Return None if the system has no such table."""
    users_by_port: dict[int, set[int]] = {}
    try:
        for address, state, user in _rows():
            host, _, port = address.partition(":")
            if state == LISTENS and host in LOOPBACK:
                users_by_port.setdefault(int(port, 16), set()).add(int(user))
    except OSError:
        return None
    return users_by_port


def is_ours(port: int, listening: dict[int, set[int]] | None) -> bool:
    """Return True if this process's user or root listens on the port, and no other user does. listening: from `owners`."""
    if listening is None:
        return True
    users = listening.get(port, set())
    return bool(users) and users <= {0, os.getuid()}


def _rows() -> Iterator[tuple[str, str, str]]:
    """Yield local address, state and user of each socket. Raises OSError if there is no table for IPv4."""
    for table in TABLES:
        if table is TABLES[0] or table.exists():
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                yield fields[1], fields[3], fields[7]
