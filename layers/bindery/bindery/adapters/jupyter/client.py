"""Client for a session's server. The server belongs to a visitor: it may be slow, endless or hostile, but must never block Bindery.

Each wait is cut to the remaining time of the server, including waits for endless headers and endless interim responses. The
client follows no redirects, stores no cookies and reads no environment variables. The standard library's client needs a quarter of
httpx's processor time; a sweep over thousands of sessions depends on it.
"""

import socket
import ssl
import time
from functools import cache
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from bindery.adapters.bounded_sockets import BoundedSocket, BoundedTLSSocket, Once

CONNECT_SECONDS = 3.0
READ_SECONDS = 4.0
ANSWER_BYTES = 1_000_000
PORTS = {"http": 80, "https": 443}


class NoAnswer(Exception):
    """Error for a server that did not respond, or not as a Jupyter server."""


class Server:
    """Session's server at `url`. All requests share `seconds`, and one connection if the server keeps it open. Raises NoAnswer."""

    def __init__(self, url: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        try:
            parts = urlsplit(url)
            if not parts.hostname:
                raise NoAnswer("no address")
            port = parts.port or PORTS[parts.scheme]
            self._path, self._host = parts.path, parts.netloc
            self._connection = _Connection(parts.hostname, port, parts.scheme == "https", until)
        except (ValueError, KeyError, HTTPException) as error:
            raise NoAnswer("no address") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def get(self, path: str, token: str = "") -> tuple[int, bytes]:
        """Return status code and body. path: below the server's address. Raises NoAnswer; send no further request after that."""
        headers = {"Host": self._host, "Accept-Encoding": "identity"}
        if token:
            headers["Authorization"] = f"token {token}"
        try:
            self._connection.request("GET", f"{self._path}{path}", headers=headers)
            with self._connection.getresponse() as answer:
                body = answer.read(ANSWER_BYTES + 1)
        except (OSError, HTTPException, ValueError) as error:
            raise NoAnswer(type(error).__name__) from error
        if len(body) > ANSWER_BYTES:
            raise NoAnswer("too long")
        return answer.status, body

    def must(self, path: str, token: str) -> bytes:
        """Return the body. Raises NoAnswer for a status other than 200."""
        code, body = self.get(path, token)
        if code != 200:
            raise NoAnswer(f"status {code}")
        return body


class _Connection(HTTPConnection):
    def __init__(self, host: str, port: int, tls: bool, until: float) -> None:
        super().__init__(host, port)
        self._tls = tls
        self._until = until

    def connect(self) -> None:
        # Names below `localhost` are this machine (RFC 6761), even if its resolver does not know them.
        at = "127.0.0.1" if self.host.endswith(".localhost") else self.host
        plain = socket.create_connection((at, self.port), min(CONNECT_SECONDS, _left(self._until)))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bounded = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        bounded.until = self._until
        bounded.settimeout(min(CONNECT_SECONDS, _left(self._until)))
        self.sock = self._secured(bounded) if self._tls else bounded

    def _secured(self, plain: "_Socket") -> "_TLSSocket":
        try:
            secured = _tls().wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise
        assert isinstance(secured, _TLSSocket)  # noqa: S101  # the context says so
        secured.until = plain.until
        return secured


class _Socket(BoundedSocket):
    """Socket that cuts each wait to the remaining time. until: the deadline, on the monotonic clock."""

    until = 0.0

    def receive(self, once: Once) -> int:
        return once(min(READ_SECONDS, _left(self.until)))


class _TLSSocket(BoundedTLSSocket):
    """TLS socket with the limits of _Socket."""

    until = 0.0

    def receive(self, once: Once) -> int:
        return once(min(READ_SECONDS, _left(self.until)))


def _left(until: float) -> float:
    remaining = until - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.sslsocket_class = _TLSSocket
    return context
