"""What the tests' HTTP servers have in common: a server on loopback, in a thread of its own, while a `with` block lasts."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class Loopback:
    """handler: `Quiet`, whose `server.owner` is this."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> None:
        self._server = Serving((host, 0), handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """`<host>:<port>`, as BINDERY_ALLOWED_PRIVATE_HOSTS takes it."""
        host, port, *_ = self._server.server_address
        return f"{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Serving(ThreadingHTTPServer):
    """owner: the `Loopback` that it serves."""

    daemon_threads = True
    owner: Any

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left early is no error here; everything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # a socket and its address, as they came


class Quiet:
    """Before BaseHTTPRequestHandler: keeps connections, and says nothing of requests: tests look at what their server noted."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""
