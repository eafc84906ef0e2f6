"""Ports that nobody else may take before a session's server listens there."""

import socket
from urllib.parse import urlsplit


class HeldPorts:
    """One port of loopback for each session that starts."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def take(self, session: str) -> int:
        """A free port, bound here without listening until the server answers: the server may listen on it all the same
        (both say SO_REUSEADDR), and the system gives it to nobody else."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self._held[session] = held
        return int(held.getsockname()[1])

    def let_go(self, session: str) -> None:
        held = self._held.pop(session, None)
        if held:
            held.close()

    def close(self) -> None:
        for session in list(self._held):
            self.let_go(session)


def port_of(url: str) -> int:
    """The port of a session's address; 0 if it names none."""
    return urlsplit(url).port or 0


def listens(port: int) -> bool:
    """Cheaper than a request, as long as nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
