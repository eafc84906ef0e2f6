"""Time and size limits of one exchange, and the sockets that enforce them.

An exchange is a series of requests, redirects included, that share one budget.
"""

import socket
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

from bindery.adapters.bounded_sockets import BoundedSocket, BoundedTLSSocket, Once
from bindery.adapters.http.address_rules import Address, AddressRules
from bindery.domain.errors import HostUnreachable, RepositoryTooLarge
from bindery.ports.contents import never_stopped

AddressInfo = tuple[int, int, int, str, tuple[str | int, ...]]
Resolver = Callable[[str, int, int, int], Sequence[AddressInfo]]
"""Like socket.getaddrinfo(host, port, family, type)."""

MB: Final = 1_000_000
MIB: Final = 1 << 20
PACE_SECONDS: Final = 20.0
SLICE_SECONDS: Final = 0.5
"""Interval at which a waiting exchange checks if it was stopped."""


def readable_size(size: int) -> str:
    """Return a size limit as readable text: `1 MB`, `500 kB`, `100 MiB`."""
    if size and size % MIB == 0:
        return f"{size // MIB} MiB"
    return f"{size // MB} MB" if size >= MB else f"{size // 1000} kB"


def system_resolver(host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
    """Resolve a name with the machine's own resolver."""
    return cast("Sequence[AddressInfo]", socket.getaddrinfo(host, port, family, kind))


def allow_redirect(_url: str) -> None:
    """Accept every address."""


@dataclass
class Budget:
    """Limits of one exchange in seconds and bytes, over all its connections.

    host: the current host, named in errors. host_port: its `host:port`, empty before the first host. received_before: bytes received
    from earlier hosts. move_to: called with each address before a request.

    stopped: returns True once the caller no longer needs the result. slowest: minimum bytes per second, averaged over each pace_seconds.
    from_proxy: True if the response did not come from the host itself. check_redirect: raises for an address that no redirect may
    lead to. short_of_time: True if the exchange had little time left when it reached the host.
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
    stopped: Callable[[], bool] = never_stopped
    slowest: int = 0
    pace_seconds: float = PACE_SECONDS
    received: int = 0
    host_port: str = ""
    received_before: int = 0
    from_proxy: bool = False
    short_of_time: bool = False
    check_redirect: Callable[[str], None] = allow_redirect
    move_to: Callable[[Address], None] = lambda _: None
    pace_start: tuple[float, int] = field(default_factory=lambda: (time.monotonic(), 0))

    def next_timeout(self, most: float) -> float:
        """Return the seconds that the next wait for the host may take."""
        self._check_pace()
        return min(most, self.remaining_seconds())

    def remaining_seconds(self) -> float:
        """Return the remaining seconds. Raises HostUnreachable if it was stopped or the deadline has passed."""
        if self.stopped():
            raise HostUnreachable(host=self.host, why="it was stopped")
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise HostUnreachable(host=self.host, why=f"no full answer within {self.seconds:.3g} seconds")
        return remaining

    def check(self) -> None:
        """Raise HostUnreachable if the exchange was stopped or its deadline has passed."""
        self.remaining_seconds()

    def restart_pace(self) -> None:
        """Measure the transfer rate from now on."""
        self.pace_start = time.monotonic(), self.received

    def _check_pace(self) -> None:
        since, received_then = self.pace_start
        passed = time.monotonic() - since
        if passed < self.pace_seconds:
            return
        if self.received - received_then < self.slowest * passed:
            raise HostUnreachable(host=self.host, why="it sends too slowly")
        self.pace_start = time.monotonic(), self.received

    def begin_move(self, host: str) -> None:
        """Leave the current host for another host, which errors name from now on."""
        self.host, self.host_port = host, ""

    def end_move(self, host_port: str) -> None:
        """Start counting the bytes and the transfer rate of a new host."""
        fair = (self.connect_seconds + self.read_seconds) / 2
        self.short_of_time = self.deadline - time.monotonic() < fair
        self.host_port, self.received_before, self.from_proxy = host_port, self.received, False
        self.restart_pace()

    def host_responded(self, unreachable: bool) -> bool | None:
        """Return True if the host sent a response, False if it was silent, None if the exchange cannot tell.

        None: the host got no request or too little time. Another host, a queue or an exchange may have used the time; the
        exchange's timeout is then no evidence about a host that came late in it. unreachable: True if HostUnreachable was raised.
        """
        if self.received > self.received_before:
            return not self.from_proxy
        cut_short = self.short_of_time and time.monotonic() >= self.deadline
        return False if unreachable and not cut_short and not self.stopped() else None

    def receive(self, once: Once) -> int:
        """Return the number of bytes that `once` received. It is called with the seconds it may wait.

        The wait is split into slices, so that a stopped exchange ends soon.
        """
        end = time.monotonic() + self.read_seconds
        while True:
            wait = self.next_timeout(min(SLICE_SECONDS, max(end - time.monotonic(), 0.001)))
            try:
                return self.count_bytes(once(wait))
            except TimeoutError:
                if time.monotonic() >= end:  # no retry by urllib3: it would double the wait
                    raise HostUnreachable(host=self.host, why="no answer in time") from None

    def count_bytes(self, size: int) -> int:
        self.received += size
        if self.received > self.max_bytes:
            raise RepositoryTooLarge(url=self.url, limit=readable_size(self.max_bytes))
        return size

    def _resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Return the name's addresses.

        A resolver has no timeout, and a visitor-chosen name server may be slow: after the timeout its thread is abandoned.
        """
        answers: SimpleQueue[Sequence[AddressInfo] | Exception] = SimpleQueue()

        def resolve() -> None:
            try:
                answers.put(self.resolver(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM))
            except Exception as error:  # noqa: BLE001  # raised in the waiting thread
                answers.put(error)

        threading.Thread(target=resolve, daemon=True, name=f"look up {host}"[:60]).start()
        try:
            result = answers.get(timeout=self.next_timeout(self.connect_seconds))
        except Empty:
            raise HostUnreachable(host=host, why="its name was not looked up in time") from None
        if isinstance(result, OSError | UnicodeError):
            raise HostUnreachable(host=host, why="its name is not known") from None
        if isinstance(result, Exception):
            raise result
        return result

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to one of the host's addresses. They are looked up once, all checked, then pinned."""
        addresses = self._resolve(host, port)
        self.rules.check_resolved(host, port, [str(info[4][0]) for info in addresses])
        why = "its name has no address"
        for family, kind, proto, _, address in addresses:
            sock = GuardedSocket(family, kind, proto)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(self.next_timeout(self.connect_seconds))
                sock.connect(address)
            except (OSError, HostUnreachable) as error:
                sock.close()
                timed_out = isinstance(error, TimeoutError)
                why = "no connection in time" if timed_out else f"it refuses connections to port {port}"
            else:
                return sock
        raise HostUnreachable(host=host, why=why)


# Pooled sockets outlive an exchange, so they look up the current one here. Connecting and reading require an exchange.
CURRENT_BUDGET: ContextVar[Budget] = ContextVar("budget")


@dataclass
class TimeLimit:
    """Time limit of making one working copy. host: named in errors. deadline: on the monotonic clock, `seconds` after the start."""

    host: str
    seconds: float
    stopped: Callable[[], bool]
    deadline: float

    def remaining_seconds(self) -> float:
        """Return the remaining seconds. Raises HostUnreachable after the deadline or if it was stopped."""
        if self.stopped():
            raise HostUnreachable(host=self.host, why="it was stopped")
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise HostUnreachable(host=self.host, why=f"not everything was there within {self.seconds:.3g} seconds")
        return remaining

    def check(self) -> None:
        """Raise HostUnreachable after the deadline or if it was stopped."""
        self.remaining_seconds()


class GuardedSocket(BoundedSocket):
    """Socket with the limits of the current exchange."""

    def receive(self, once: Once) -> int:
        return CURRENT_BUDGET.get().receive(once)


class GuardedTLSSocket(BoundedTLSSocket):
    """TLS socket with the limits of the current exchange."""

    def receive(self, once: Once) -> int:
        return CURRENT_BUDGET.get().receive(once)


class GuardedConnection(HTTPConnection):
    """HTTP connection that follows the exchange's address rules; the Host header stays the name."""

    def _new_conn(self) -> socket.socket:
        return CURRENT_BUDGET.get().connect(self._dns_host.strip("[]"), self.port)


class GuardedTLSConnection(HTTPSConnection):
    """HTTPS connection that follows the exchange's address rules; certificates are verified for the name."""

    def _new_conn(self) -> socket.socket:
        return CURRENT_BUDGET.get().connect(self._dns_host.strip("[]"), self.port or 443)


class GuardedPool(HTTPConnectionPool):
    """Pool of connections to one http host."""

    ConnectionCls = GuardedConnection

    def urlopen(self, *args: object, **kw: object) -> BaseHTTPResponse:
        return _without_broken_redirect(super().urlopen(*args, **kw))  # type: ignore[arg-type] # as above


class GuardedTLSPool(HTTPSConnectionPool):
    """Pool of connections to one https host."""

    ConnectionCls = GuardedTLSConnection

    def urlopen(self, *args: object, **kw: object) -> BaseHTTPResponse:
        return _without_broken_redirect(super().urlopen(*args, **kw))  # type: ignore[arg-type] # as above


def _without_broken_redirect(response: BaseHTTPResponse) -> BaseHTTPResponse:
    """Return the response. Raises HostUnreachable if it redirects to an unparsable address."""
    try:
        location = response.get_redirect_location() or ""
        urlsplit(location)
        parse_url(location)
    except (ValueError, LocationParseError):
        response.close()
        raise HostUnreachable(host=CURRENT_BUDGET.get().host, why="it redirects to what is no address") from None
    return response
