"""The one HTTP client for repository hosts. It limits the addresses it connects to, the time of an exchange, and the bytes received."""

import errno
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError, ResponseError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeout
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Timeout

from bindery.adapters.http.address_rules import Address, AddressRules, parsed
from bindery.adapters.http.budget import (
    CURRENT,
    MB,
    PACE_SECONDS,
    Exchange,
    GuardedPool,
    GuardedTLSPool,
    GuardedTLSSocket,
    Resolver,
    anywhere,
    system_resolver,
)
from bindery.adapters.http.circuit_breaker import CircuitBreakers
from bindery.adapters.http.concurrency import ConcurrencyLimit, Queueing
from bindery.adapters.http.host_groups import group_of
from bindery.adapters.http.rate_limits import LONGEST, Limits, longest_wait
from bindery.adapters.http.refusals import READ_BYTES
from bindery.adapters.http.visits import Visit
from bindery.domain.errors import BadAddress, HostUnreachable
from bindery.ports.contents import never
from bindery.ports.deadline import most

SLOWEST = 1000
"""Minimum transfer rate of a download, in bytes per second."""
OF_DISKS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
ILL = frozenset({502, 503, 504})
"""Statuses that a proxy sends when the host behind it does not respond."""
DOWNLOADS = Queueing(seconds=60, quiet_seconds=60)
GROUP_WAITING, STRANGERS_AT_ONCE = 3, 8
"""Limits for hosts that the settings do not name: requests that wait for a turn at one group, and concurrent requests to all groups.

The local control plane has 16 threads that resolve repositories: one group holds at most 6 of them, and all groups half."""


class GuardedPools(urllib3.PoolManager):
    """Pool manager that checks the address of every request and redirect. It never decompresses: size limits count bytes on the wire.

    limits: checked for hosts that redirects lead to; the caller checks the first host's.
    """

    def __init__(self, rules: AddressRules, limits: Limits, now: Callable[[], float], user_agent: str) -> None:
        super().__init__(num_pools=50, maxsize=8, headers={"User-Agent": user_agent})
        self.pool_classes_by_scheme = {"http": GuardedPool, "https": GuardedTLSPool}
        self._rules = rules
        self._limits = limits
        self._now = now

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: object) -> BaseHTTPResponse:  # type: ignore[override] # PoolManager's own signature also differs from its base
        address = self._rules.check(url)
        retries = kw.setdefault("retries", _retries())
        if isinstance(retries, Retry) and retries.history:
            self._check_redirect(retries.history[-1].url or "", url, address)
            CURRENT.get().may_lead(url)
            headers = cast("Mapping[str, str]", kw["headers"])
            self._limits.check(url, self._now(), headers.get("Authorization", ""), free="If-None-Match" in headers)
        CURRENT.get().go(address)
        if address.scheme == "https" and "ssl_context" not in self.connection_pool_kw:
            self.connection_pool_kw["ssl_context"] = (
                _tls()
            )  # reading the CA list takes a while: once, and only if needed
        kw.update(preload_content=False, decode_content=False)
        return super().urlopen(method, url, redirect and method == "GET", **kw)

    def _check_redirect(self, came_from: str, url: str, address: Address) -> None:
        """Raise BadAddress for a redirect from https to http, unless the operator allowed the host."""
        leaves = came_from.startswith("https:") and address.scheme == "http"
        if leaves and not self._rules.allows(address.host, address.port):
            raise BadAddress(url=url, why="a redirect would leave https")


def _retries() -> Retry:
    """Return urllib3's retry rules: one retry on a broken connection, and up to five redirects."""
    return Retry(total=None, connect=1, read=1, redirect=5, status=0, other=0, allowed_methods=None)


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = GuardedTLSSocket
    return context


@dataclass(frozen=True)
class Answer:
    """Response with its whole body. url: the final address, after redirects. headers: names in lower case.

    authorization: the credential sent to that address; empty if a redirect led to another server.
    longest_wait: maximum seconds that a wait which the response demands is remembered.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    authorization: str = field(default="", repr=False)
    longest_wait: float = LONGEST

    @property
    def host(self) -> str:
        return parsed(self.url).host


class GuardedClient:
    """Client for repository hosts. Every request runs within an exchange.

    Errors: ForbiddenAddress, BadAddress, HostUnreachable, RepositoryTooLarge; HostLimited if a redirect leads to a host with a
    rate limit that applies now.

    allowed_private_hosts: `host` or `host:port` that may be private, and on any port. Other hosts: ports 80, 443, 1024 and above.
    known_hosts: hosts that the settings name. Each has turns of its own, and does not wait for other hosts.
    resolver: like socket.getaddrinfo. connect_seconds, read_seconds: the longest single wait. turn_seconds: the longest wait for a
    turn at a busy host. quiet_seconds: the longest wait for a turn while no other request to the host ends.
    pace_seconds: the longest time that a download may be slower than SLOWEST. now: UTC seconds.
    """

    def __init__(
        self,
        allowed_private_hosts: Sequence[str] = (),
        *,
        known_hosts: Collection[str] = (),
        resolver: Resolver = system_resolver,
        connect_seconds: float = 5,
        read_seconds: float = 10,
        turn_seconds: float = 10,
        quiet_seconds: float = 2,
        pace_seconds: float = PACE_SECONDS,
        user_agent: str = "bindery",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._rules = AddressRules(allowed_private_hosts)
        self._known_hosts = frozenset(known_hosts)
        self._resolver = resolver
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._questions = Queueing(turn_seconds, quiet_seconds)
        self._pace_seconds = pace_seconds
        self._turns = ConcurrencyLimit()
        self._circuits = CircuitBreakers(now)
        self.limits = Limits()
        self._pools = GuardedPools(self._rules, self.limits, now, user_agent)

    def check(self, url: str) -> None:
        """Raise BadAddress or ForbiddenAddress for an address that is refused before any request."""
        self._rules.check(url)

    def close(self) -> None:
        """Close the idle connections."""
        self._pools.clear()

    @contextmanager
    def exchange(
        self,
        url: str,
        *,
        seconds: float = 30,
        max_bytes: int = 10 * MB,
        stopped: Callable[[], bool] = never,
        download: bool = False,
        may_lead: Callable[[str], None] = anywhere,
    ) -> Iterator[None]:
        """Limit all requests inside the block, and turn transport errors into errors about the requested host.

        The exchange holds a turn at one host at a time: the host of `url`, then each other host that it requests or is redirected to.

        download: the exchange may be long, but must keep a minimum transfer rate; its turns are counted apart from other requests.
        may_lead: raises for an address that no redirect may lead to.
        """
        address = self._rules.check(url)
        host = address.host
        seconds = most(seconds)
        waits = (self._connect_seconds, self._read_seconds)
        exchange = Exchange(
            *(self._rules, self._resolver, url, host, seconds, max_bytes, *waits),
            deadline=time.monotonic() + seconds,
            stopped=stopped,
            slowest=SLOWEST if download else 0,
            pace_seconds=self._pace_seconds,
            may_lead=may_lead,
        )
        with Visit(self._turns, self._circuits, exchange, partial(self._queues, download=download)) as visit:
            visit.go(address)
            exchange.go = visit.go
            with _in_exchange(exchange):
                yield

    def _queues(self, address: Address, *, download: bool) -> Mapping[str, Queueing]:
        """Return the turns that a request needs: the host's own if the settings name it, else its group's and the shared one."""
        host, queueing = address.host, DOWNLOADS if download else self._questions
        if host in self._known_hosts or self._rules.allows(host, address.port):
            return {f"{host}:{address.port} {download}": queueing}
        waiting = None if download else GROUP_WAITING
        return {
            f"group {group_of(host)} {download}": replace(queueing, most_waiting=waiting),
            f"strangers {download}": replace(queueing, at_once=STRANGERS_AT_ONCE),
        }

    def hear(
        self, response: BaseHTTPResponse, url: str, now: float, authorization: str = "", *, longest: float = LONGEST
    ) -> bytes:
        """Record a response's rate limit. Return the beginning of its body if its status is 403, else empty bytes.

        url, authorization: those of the request. now: UTC seconds. longest: maximum seconds that a wait is remembered; less if a
        redirect led to another server. Raises HostLimited and HostBusy.
        """
        body = response.read(READ_BYTES, decode_content=False) if response.status == 403 else b""
        credential = shown_to(response, url, authorization)
        answered = final_url(response, url)
        longest = min(longest, longest_wait(url, answered))
        self.limits.heard(answered, response.status, response.headers, now, credential, body=body, longest=longest)
        return body

    @contextmanager
    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """Send a request inside an exchange and yield the response. The connection is reused if the response was read to its end."""
        patience = Timeout(connect=self._connect_seconds, read=self._read_seconds)
        merged = {**self._pools.headers, **headers}
        response = self._pools.urlopen(method, url, headers=merged, body=body, timeout=patience)
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float = 15,
        max_bytes: int = 10 * MB,
        stopped: Callable[[], bool] = never,
    ) -> Answer:
        """Return one small response, of any status."""
        exchange = self.exchange(url, seconds=seconds, max_bytes=max_bytes, stopped=stopped)
        with exchange, self.ask("GET", url, headers or {}) as response:
            CURRENT.get().ill = response.status in ILL
            received = {name.lower(): value for name, value in response.headers.items()}
            credential = shown_to(response, url, (headers or {}).get("Authorization", ""))
            body = response.read(decode_content=False)
            answered = final_url(response, url)
            return Answer(answered, response.status, received, body, credential, longest_wait(url, answered))


@contextmanager
def _in_exchange(exchange: Exchange) -> Iterator[None]:
    token = CURRENT.set(exchange)
    try:
        yield
    except LocationParseError:
        raise BadAddress(url=exchange.url, why="it cannot be read") from None
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in OF_DISKS:  # the fetched data could not be written
            raise
        raise _as_fact(error, exchange.url, exchange.host) from error
    finally:
        CURRENT.reset(token)


def final_url(response: BaseHTTPResponse, requested: str) -> str:
    """Return the response's address: the requested one, or the target of its redirects."""
    url = requested
    for step in response.retries.history if response.retries else ():
        url = urljoin(url, step.redirect_location or "")
    return url


def shown_to(response: BaseHTTPResponse, requested: str, authorization: str) -> str:
    """Return the credential sent to the responding address; empty after a redirect to another server."""
    return authorization if parsed(final_url(response, requested)) == parsed(requested) else ""


def answering_host(response: BaseHTTPResponse, requested: str) -> str:
    """Return the host of the response's address, after redirects."""
    return parsed(final_url(response, requested)).host


def _as_fact(error: HTTPError | OSError, url: str, host: str) -> BadAddress | HostUnreachable:
    cause: object = error.reason if isinstance(error, MaxRetryError) else error
    if isinstance(cause, ResponseError):
        return BadAddress(url=url, why="it redirects again and again")
    if isinstance(cause, HTTPTimeout | TimeoutError):
        why = "no answer in time"
    elif isinstance(cause, SSLError | ssl.SSLError):
        why = "no trusted connection could be made (certificate)"
    else:
        why = "the connection broke"
    return HostUnreachable(host=host, why=why)
