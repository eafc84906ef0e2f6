"""Who is at the other end of a loopback connection: every user of this machine can reach it, but it runs code as one of them."""

import os
import socket
from pathlib import Path

TABLE = Path("/proc/net/tcp")


def is_ours(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Whether a client on 127.0.0.1 belongs to our own user, or to root. Where the system has no such table, nobody is asked.

    Both ends name a connection: the client's port alone may be another's at the same time, towards another server.
    """
    try:
        lines = TABLE.read_text().splitlines()[1:]
    except OSError:
        return True
    wanted = [_spelled(*client), _spelled(*server)]
    for line in lines:
        fields = line.split()
        if fields[1:3] == wanted:
            # A connection that its owner has closed is listed as root's, without an inode.
            return fields[9] != "0" and int(fields[7]) in (0, os.getuid())
    return False


def _spelled(address: str, port: int) -> str:
    """As the table has it."""
    return f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
