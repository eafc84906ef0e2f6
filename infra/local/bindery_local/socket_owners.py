"""Users that own TCP sockets on loopback. Every user of this machine can listen and connect there, but Bindery runs code as one of them.

The kernel's tables are read here, since psutil reports no user of a socket, and no process of another user's socket.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Row:
    """Socket in a table. local, remote: `<address>:<port>` in the tables' format. user: the owner's id."""

    local: str
    remote: str
    state: str
    user: int
    inode: str


def listening_users() -> dict[int, set[int]] | None:
    """Return the ids of the listening users, by port. Return None if the system has no such table."""
    users_by_port: dict[int, set[int]] = {}
    try:
        for row in _rows(*TABLES):
            host, _, port = row.local.partition(":")
            if row.state == LISTENS and host in LOOPBACK:
                users_by_port.setdefault(int(port, 16), set()).add(row.user)
    except OSError:
        return None
    return users_by_port


def is_our_port(port: int, listening: dict[int, set[int]] | None) -> bool:
    """Return True if this process's user or root listens on the port, and no other user does.

    listening: from `listening_users`.
    """
    if listening is None:
        return True
    users = listening.get(port, set())
    return bool(users) and users <= {0, os.getuid()}


def is_our_connection(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Return True if a client on 127.0.0.1 belongs to this process's user, or to root.

    Also returns True on systems without the connection table. A connection is identified by both ends: another connection to
    another server may use the same client port.
    """
    ends = (_spelled(*client), _spelled(*server))
    try:
        for row in _rows(TABLES[0]):
            if (row.local, row.remote) == ends:
                # A connection that its owner has closed is listed with root as its owner and without an inode.
                return row.inode != "0" and row.user in (0, os.getuid())
    except OSError:
        return True
    return False


def _rows(*tables: Path) -> Iterator[Row]:
    """Yield each socket of the tables. Raises OSError if there is no table for IPv4."""
    for table in tables:
        if table is TABLES[0] or table.exists():
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                yield Row(fields[1], fields[2], fields[3], int(fields[7]), fields[9])


def _spelled(address: str, port: int) -> str:
    """Return an address as written in the tables."""
    return f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
