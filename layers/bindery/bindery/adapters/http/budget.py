"""What one errand to a host may take, and the sockets that hold to it."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final, cast
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.response import BaseHTTPResponse
from urllib3.util import parse_url

from bindery.adapters.http.address_rules import Address, AddressRules
from bindery.adapters.http.concurrency import SLICE_SECONDS
from bindery.domain.errors import HostUnreachable, RepositoryTooLarge
from bindery.ports.contents import never

AddressInfo = tuple[int, int, int, str, tuple[str | int, ...]]
Resolver = Callable[[str, int, int, int], Sequence[AddressInfo]]
"""Like socket.getaddrinfo(host, port, family, type)."""

MB: Final = 1_000_000
MIB: Final = 1 << 20
PACE_SECONDS: Final = 20.0


def in_words(size: int) -> str:
    """A limit for people: `1 MB`, `500 kB`, `100 MiB`."""
    if size and size % MIB == 0:
        return f"{size // MIB} MiB"
    return f"{size // MB} MB" if size >= MB else f"{size // 1000} kB"


def system_resolver(host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
    """The machine's own."""
    return cast("Sequence[AddressInfo]", socket.getaddrinfo(host, port, family, kind))


def anywhere(_url: str) -> None:
    """No address is refused."""


@dataclass
class Exchange:
    """One errand's limits: what it may take in seconds and bytes, over all its connections.

    host: the one that is asked now, for errors. place: its `host:port`, empty before the first. before: bytes of earlier hosts.
    go: called with each address before a request.

    stopped: whether nobody wants it any more. slowest: bytes per second that must come, averaged over each pace_seconds.
    ill: whether what came was no answer of the host itself. may_lead: raises for an address that no redirect may lead to.
    hurried: whether the exchange had little time left when it came to the host.
    """

    rules: AddressRules
    resolver: Resolver
    url: str
    host: str
    seconds: float
    max_bytes: int
    connect_seconds: float
    read_seconds: float
    deadline: float
    stopped: Callable[[], bool] = never
    slowest: int = 0
    pace_seconds: float = PACE_SECONDS
    received: int = 0
    place: str = ""
    before: int = 0
    ill: bool = False
    hurried: bool = False
    may_lead: Callable[[str], None] = anywhere
    go: Callable[[Address], None] = lambda _: None
    paced: tuple[float, int] = field(default_factory=lambda: (time.monotonic(), 0))

    def patience(self, most: float) -> float:
        """Seconds that the next wait for the host may take."""
        self._check_pace()
        return min(most, self._left())

    def _left(self) -> float:
        if self.stopped():
            raise HostUnreachable(host=self.host, why="it was stopped")
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise HostUnreachable(host=self.host, why=f"no full answer within {self.seconds:.3g} seconds")
        return left

    def check(self) -> None:
        """HostUnreachable once it was stopped or took too long."""
        self._left()

    def restart_pace(self) -> None:
        """Measured from now on."""
        self.paced = time.monotonic(), self.received

    def _check_pace(self) -> None:
        since, before = self.paced
        passed = time.monotonic() - since
        if passed < self.pace_seconds:
            return
        if self.received - before < self.slowest * passed:
            raise HostUnreachable(host=self.host, why="it sends too slowly")
        self.paced = time.monotonic(), self.received

    def set_out(self, host: str) -> None:
        """Leave for a host, which errors name from now on."""
        self.host, self.place = host, ""

    def arrive(self, place: str) -> None:
        """Begin with the host: what it answers is counted by itself."""
        fair = (self.connect_seconds + self.read_seconds) / 2
        self.hurried = self.deadline - time.monotonic() < fair
        self.place, self.before, self.ill = place, self.received, False
        self.restart_pace()

    def heard(self, unreachable: bool) -> bool | None:
        """Whether the host, found unreachable or not, answered anything. None: it was not asked, or not given the time.

        Another host, a line or an errand may have taken the time: the exchange's end then says nothing of a host that came late in it.
        """
        if self.received > self.before:
            return not self.ill
        cut_short = self.hurried and time.monotonic() >= self.deadline
        return False if unreachable and not cut_short and not self.stopped() else None

    def receive(self, once: Callable[[float], int]) -> int:
        """What `once`, given the seconds it may wait, received. Waits in slices: whoever stops it is heard."""
        end = time.monotonic() + self.read_seconds
        while True:
            wait = self.patience(min(SLICE_SECONDS, max(end - time.monotonic(), 0.001)))
            try:
                return self.took(once(wait))
            except TimeoutError:
                if time.monotonic() >= end:  # not urllib3's to try again: that would double the wait
                    raise HostUnreachable(host=self.host, why="no answer in time") from None

    def took(self, size: int) -> int:
        self.received += size
        if self.received > self.max_bytes:
            raise RepositoryTooLarge(url=self.url, limit=in_words(self.max_bytes))
        return size

    def _looked_up(self, host: str, port: int) -> Sequence[AddressInfo]:
        """The name's addresses. A resolver has no time limit of its own, and a stranger's name server may be slow: it is left then."""
        answers: SimpleQueue[Sequence[AddressInfo] | Exception] = SimpleQueue()

        def look() -> None:
            try:
                answers.put(self.resolver(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM))
            except Exception as error:  # noqa: BLE001  # raised by the one who waits
                answers.put(error)

        threading.Thread(target=look, daemon=True, name=f"look up {host}"[:60]).start()
        try:
            found = answers.get(timeout=self.patience(self.connect_seconds))
        except Empty:
            raise HostUnreachable(host=host, why="its name was not looked up in time") from None
        if isinstance(found, OSError | UnicodeError):
            raise HostUnreachable(host=host, why="its name is not known") from None
        if isinstance(found, Exception):
            raise found
        return found

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to one of the host's addresses: looked up once, all checked, then pinned."""
        found = self._looked_up(host, port)
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
                timed_out = isinstance(error, TimeoutError)
                why = "no connection in time" if timed_out else f"it refuses connections to port {port}"
            else:
                return sock
        raise HostUnreachable(host=host, why=why)


# Sockets outlive exchanges in the pool, so they ask who reads just now. Without an exchange nothing connects or is read.
CURRENT: ContextVar[Exchange] = ContextVar("exchange")


@dataclass
class Errand:
    """One working copy being made. host: whom to name. deadline: on the monotonic clock, `seconds` after it began."""

    host: str
    seconds: float
    stopped: Callable[[], bool]
    deadline: float

    def left(self) -> float:
        """Seconds; HostUnreachable if there are none, or it was stopped."""
        if self.stopped():
            raise HostUnreachable(host=self.host, why="it was stopped")
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise HostUnreachable(host=self.host, why=f"not everything was there within {self.seconds:.3g} seconds")
        return left

    def check(self) -> None:
        """Raises as `left` does."""
        self.left()


class BoundedSocket(socket.socket):
    """Each wait is cut to what the exchange has left: a slow drip ends at its deadline."""

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override] # what SocketIO and ssl hand in
        receive = super().recv_into

        def once(seconds: float) -> int:
            self.settimeout(seconds)
            return receive(buffer, nbytes, flags)

        return CURRENT.get().receive(once)


class BoundedTLSSocket(ssl.SSLSocket):
    """The same above TLS."""

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int | None = None, flags: int = 0) -> int:  # type: ignore[override] # as above
        receive = super().recv_into

        def once(seconds: float) -> int:
            self.settimeout(seconds)
            return receive(buffer, nbytes, flags)

        return CURRENT.get().receive(once)


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

    def urlopen(self, *args: object, **kw: object) -> BaseHTTPResponse:
        return _checked(super().urlopen(*args, **kw))  # type: ignore[arg-type] # as above


class GuardedTLSPool(HTTPSConnectionPool):
    """Connections to one https host."""

    ConnectionCls = GuardedTLSConnection

    def urlopen(self, *args: object, **kw: object) -> BaseHTTPResponse:
        return _checked(super().urlopen(*args, **kw))  # type: ignore[arg-type] # as above


def _checked(response: BaseHTTPResponse) -> BaseHTTPResponse:
    """The response, unless it leads on to what cannot be read as an address: HostUnreachable then."""
    try:
        location = response.get_redirect_location() or ""
        urlsplit(location)
        parse_url(location)
    except (ValueError, LocationParseError):
        response.close()
        raise HostUnreachable(host=CURRENT.get().host, why="it redirects to what is no address") from None
    return response
