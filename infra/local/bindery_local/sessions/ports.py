"""Ports of sessions, reserved until the session's server listens."""

import socket
from urllib.parse import urlsplit


class HeldPorts:
    """Reserved loopback ports, one for each session that starts."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def take(self, session: str) -> int:
        """Reserve a free port and return it.

        The port is bound without listening until the server answers. The server can still listen on it (both set SO_REUSEADDR), and
        the system does not assign it to other processes.
        """
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        self._held[session] = reserved
        return int(reserved.getsockname()[1])

    def let_go(self, session: str) -> None:
        reserved = self._held.pop(session, None)
        if reserved:
            reserved.close()

    def close(self) -> None:
        for session in list(self._held):
            self.let_go(session)


def port_of(url: str) -> int:
    """Return the port of a session's address, or 0 if it has none."""
    return urlsplit(url).port or 0


def listens(port: int) -> bool:
    """Return True if a server listens on the port. While there is none, this is cheaper than a request."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
