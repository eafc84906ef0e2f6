"""A web site on loopback that answers GET as a test's host would, and remembers what it was asked."""

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Reply:
    """body: bytes as they are, anything else as JSON."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def moved(url: str) -> Reply:
    """To another address."""
    return Reply(302, b"", {"Location": url})


MISSING = Reply(404, {"message": "Not Found"})


class Site:
    """Serves while its `with` block lasts. replies: path -> what is said instead. asked: paths with their queries, in order."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`, as BINDERY_ALLOWED_PRIVATE_HOSTS takes it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        """What this kind of host says. path: percent-encoded, as it came."""
        return MISSING

    def answer(self, asked: str) -> Reply:
        self.asked.append(asked)
        path, _, query = asked.partition("?")
        return self.replies.get(path) or self.found(path, dict(parse_qsl(query, keep_blank_values=True)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: Site

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left early is no error here; everything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # a socket and its address, as they came


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        reply = self.server.owner.answer(self.path)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Tests look at `asked` instead."""
