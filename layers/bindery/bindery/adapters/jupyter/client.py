"""Requests to a session's server, which belongs to a visitor: it may be slow, endless, hostile, and must never hold us up.

Everything that a server is waited for is cut to what is left of its time: also a header that never ends, and interim
answers without number. No redirect is followed, no cookie kept, nothing taken from the environment. The standard library's
client does that for a quarter of the processor time that httpx took, which is what a sweep over thousands is made of.
"""

import socket
import ssl
import time
from functools import cache
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CONNECT_SECONDS = 3.0
READ_SECONDS = 4.0
ANSWER_BYTES = 1_000_000
PORTS = {"http": 80, "https": 443}


class NoAnswer(Exception):
    """The server did not answer, or not as a Jupyter server does."""


class Server:
    """A server at `url`, asked a few things within `seconds` altogether, over one connection if it keeps it. Raises NoAnswer."""

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
        """Status code and body. path: below the server's address. Raises NoAnswer; afterwards ask nothing more."""
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
        """The body. Raises NoAnswer for everything but a 200."""
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
        # Names below `localhost` are this machine (RFC 6761), whether its resolver knows them or not.
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


class _Socket(socket.socket):
    """Each wait is cut to what is left: a slow drip ends in time."""

    until = 0.0

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override]  # what SocketIO hands in
        self.settimeout(min(READ_SECONDS, _left(self.until)))
        return super().recv_into(buffer, nbytes, flags)


class _TLSSocket(ssl.SSLSocket):
    """The same above TLS."""

    until = 0.0

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int | None = None, flags: int = 0) -> int:  # type: ignore[override]  # as above
        self.settimeout(min(READ_SECONDS, _left(self.until)))
        return super().recv_into(buffer, nbytes, flags)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.sslsocket_class = _TLSSocket
    return context
