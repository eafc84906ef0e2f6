"""What one errand to a host may take, and the sockets that hold to it."""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, cast

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bindery.adapters.repositories.addresses import AddressRules
from bindery.domain.errors import HostUnreachable, RepositoryTooLarge

AddressInfo = tuple[int, int, int, str, tuple[str | int, ...]]
Resolver = Callable[[str, int, int, int], Sequence[AddressInfo]]
"""Like socket.getaddrinfo(host, port, family, type)."""

MB: Final = 1_000_000


def in_words(size: int) -> str:
    """A limit for people: `1 MB`, `500 kB`."""
    return f"{size // MB} MB" if size >= MB else f"{size // 1000} kB"


def system_resolver(host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
    """The machine's own."""
    return cast("Sequence[AddressInfo]", socket.getaddrinfo(host, port, family, kind))


@dataclass
class Exchange:
    """One errand's limits: what it may take in seconds and bytes, over all its connections."""

    rules: AddressRules
    resolver: Resolver
    url: str
    host: str
    seconds: float
    max_bytes: int
    connect_seconds: float
    read_seconds: float
    deadline: float
    received: int = 0

    def patience(self, most: float) -> float:
        """Seconds that the next wait may take."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise HostUnreachable(host=self.host, why=f"no full answer within {self.seconds:g} seconds")
        return min(most, left)

    def took(self, size: int) -> int:
        self.received += size
        if self.received > self.max_bytes:
            raise RepositoryTooLarge(url=self.url, limit=in_words(self.max_bytes))
        return size

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to one of the host's addresses: looked up once, all checked, then pinned."""
        try:
            found = self.resolver(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise HostUnreachable(host=host, why="its name is not known") from None
        self.rules.check_answer(host, port, [str(info[4][0]) for info in found])
        why = "its name has no address"
        for family, kind, proto, _, address in found:
            sock = BoundedSocket(family, kind, proto)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(self.patience(self.connect_seconds))
                sock.connect(address)
            except (OSError, HostUnreachable) as error:
                sock.close()
                why = "no connection in time" if isinstance(error, TimeoutError) else "the connection was refused"
            else:
                return sock
        raise HostUnreachable(host=host, why=why)


# Sockets outlive exchanges in the pool, so they ask who reads just now. Without an exchange nothing connects or is read.
CURRENT: ContextVar[Exchange] = ContextVar("exchange")


class BoundedSocket(socket.socket):
    """Each wait is cut to what the exchange has left: a slow drip ends at its deadline."""

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override] # what SocketIO and ssl hand in
        exchange = CURRENT.get()
        self.settimeout(exchange.patience(exchange.read_seconds))
        return exchange.took(super().recv_into(buffer, nbytes, flags))


class BoundedTLSSocket(ssl.SSLSocket):
    """The same above TLS."""

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int | None = None, flags: int = 0) -> int:  # type: ignore[override] # as above
        exchange = CURRENT.get()
        self.settimeout(exchange.patience(exchange.read_seconds))
        return exchange.took(super().recv_into(buffer, nbytes, flags))


class GuardedConnection(HTTPConnection):
    """Connects by the exchange's rules; the Host header stays the name."""

    def _new_conn(self) -> socket.socket:
        return CURRENT.get().connect(self._dns_host.strip("[]"), self.port)


class GuardedTLSConnection(HTTPSConnection):
    """The same; certificates are verified for the name."""

    def _new_conn(self) -> socket.socket:
        return CURRENT.get().connect(self._dns_host.strip("[]"), self.port or 443)


class GuardedPool(HTTPConnectionPool):
    """Connections to one http host."""

    ConnectionCls = GuardedConnection


class GuardedTLSPool(HTTPSConnectionPool):
    """Connections to one https host."""

    ConnectionCls = GuardedTLSConnection
