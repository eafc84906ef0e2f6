"""The common part of the tests' HTTP servers: a server on loopback, in a thread of its own, while a `with` block lasts."""

import socket
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from bindery.adapters.http.budget import AddressInfo


class Loopback:
    """A server on loopback. handler: a `Quiet` with this object as its `server.owner`.

    port: 0 for any free one. tls: with a certificate to present.
    """

    def __init__(
        self, handler: "type[Quiet]", host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = Serving((host, port), handler)
        self._server.owner = self
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """Return `<host>:<port>`, as BINDERY_ALLOWED_PRIVATE_HOSTS takes it."""
        host, port, *_ = self._server.server_address
        return f"{host!s}:{port}"

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def origin(self) -> str:
        """Return `http://<host>:<port>`."""
        return f"{self._scheme}://{self.address}"

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
    """The HTTP server. owner: the `Loopback` that it serves."""

    daemon_threads = True
    owner: Any

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that left early or does not trust this server; show every other error."""
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # a socket and its address, as they came


class Quiet(BaseHTTPRequestHandler):
    """A mixin to put before BaseHTTPRequestHandler.

    It keeps connections open and logs no requests: tests look at the records of their server.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Serving

    def body(self) -> bytes:
        """Return the request's body, of the announced length."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no request."""


def free_port() -> int:
    """Return a port that has no listener now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_this_machine(host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
    """Resolve every name to this machine."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
