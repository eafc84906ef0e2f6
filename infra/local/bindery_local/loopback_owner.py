"""Owner of a loopback connection. Every user of this machine can connect, but Bindery runs code as one of them."""

import os
import socket
from pathlib import Path

TABLE = Path("/proc/net/tcp")


def is_ours(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Return True if a client on 127.0.0.1 belongs to this process's user, or to root.

    Also returns True on systems without the connection table. A connection is identified by both ends: another connection to
    another server may use the same client port.
    """
    try:
        lines = TABLE.read_text().splitlines()[1:]
    except OSError:
        return True
    ends = [_spelled(*client), _spelled(*server)]
    for line in lines:
        fields = line.split()
        if fields[1:3] == ends:
            # A connection that its owner has closed is listed with root as its owner and without an inode.
            return fields[9] != "0" and int(fields[7]) in (0, os.getuid())
    return False


def _spelled(address: str, port: int) -> str:
    """Return an address as written in the table."""
    return f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
