"""The one client towards repository hosts: it connects only where it may, for as long as it may, for as much as it may."""

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
    BoundedTLSSocket,
    Exchange,
    GuardedPool,
    GuardedTLSPool,
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
"""Bytes per second of a download."""
OF_DISKS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
ILL = frozenset({502, 503, 504})
"""What whoever stands before a host says when that does not answer."""
DOWNLOADS = Queueing(seconds=60, quiet_seconds=60)
GROUP_WAITING, STRANGERS_AT_ONCE = 3, 8
"""Of hosts that no setting names: requests that wait for a turn at one group of them, and requests to all of them at a time.

The local control plane has 16 threads that resolve repositories: one group holds at most 6 of them, and all groups half."""


class GuardedPools(urllib3.PoolManager):
    """Checks every address that is asked, redirects included. Answers are never unpacked: what counts is what comes over the wire.

    limits: of hosts that redirects lead to; whoever asks looks at the first one's.
    """

    def __init__(self, rules: AddressRules, limits: Limits, now: Callable[[], float], user_agent: str) -> None:
        super().__init__(num_pools=50, maxsize=8, headers={"User-Agent": user_agent})
        self.pool_classes_by_scheme = {"http": GuardedPool, "https": GuardedTLSPool}
        self._rules = rules
        self._limits = limits
        self._now = now

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: object) -> BaseHTTPResponse:  # type: ignore[override] # PoolManager's own differs from its base, too
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
        """BadAddress."""
        leaves = came_from.startswith("https:") and address.scheme == "http"
        if leaves and not self._rules.allows(address.host, address.port):
            raise BadAddress(url=url, why="a redirect would leave https")


def _retries() -> Retry:
    """One more try on a connection that broke, up to five redirects."""
    return Retry(total=None, connect=1, read=1, redirect=5, status=0, other=0, allowed_methods=None)


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = BoundedTLSSocket
    return context


@dataclass(frozen=True)
class Answer:
    """url: the address that answered, which a redirect may have led to. headers: names in lower case.

    authorization: what that address was shown: nothing, if it is another server's than the one that was asked.
    longest_wait: seconds that a wait is remembered at most which it asks for.
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
    """Asks repository hosts, within an exchange.

    Errors: ForbiddenAddress, BadAddress, HostUnreachable, RepositoryTooLarge; HostLimited by a host that a redirect leads to and
    that has us wait.

    allowed_private_hosts: `host` or `host:port` that may be private, and on any port. Other hosts: ports 80, 443, 1024 and above.
    known_hosts: those that settings name: each has its turns for itself, and none of them waits for other hosts.
    resolver: like socket.getaddrinfo. connect_seconds, read_seconds: the longest single wait. turn_seconds, quiet_seconds: the
    longest wait for a turn at a host that is asked a lot; the latter while none of the others ends.
    pace_seconds: how long a download may be slower than SLOWEST. now: UTC seconds.
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
        """BadAddress or ForbiddenAddress for what is wrong before anybody is asked."""
        self._rules.check(url)

    def close(self) -> None:
        """Closes the idle connections."""
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
        """Limits everything that is asked inside it, and turns transport errors into facts about the host that was asked.

        It has a turn at the host of `url`, and at each other host that is asked inside it or that a redirect leads to, one at a time.

        download: it may go on for long, if it goes on: counted apart from questions, and must keep a pace.
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
        """Return the turns that a request needs: the host's own if the operator named it, else its group's and all strangers'."""
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
        """Remember what a response says of waiting. Return the beginning of its body if its status is 403, else nothing.

        url, authorization: those of the request. now: UTC seconds. longest: seconds that a wait is remembered, and less where a
        redirect led to another server. Raises HostLimited and HostBusy.
        """
        said = response.read(READ_BYTES, decode_content=False) if response.status == 403 else b""
        shown = shown_to(response, url, authorization)
        answered = final_url(response, url)
        longest = min(longest, longest_wait(url, answered))
        self.limits.heard(answered, response.status, response.headers, now, shown, body=said, longest=longest)
        return said

    @contextmanager
    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """An answer to read from, inside an exchange. Its connection is kept for the next one if it was read to its end."""
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
        """One small answer, whatever its status."""
        exchange = self.exchange(url, seconds=seconds, max_bytes=max_bytes, stopped=stopped)
        with exchange, self.ask("GET", url, headers or {}) as response:
            CURRENT.get().ill = response.status in ILL
            found = {name.lower(): value for name, value in response.headers.items()}
            shown = shown_to(response, url, (headers or {}).get("Authorization", ""))
            body = response.read(decode_content=False)
            answered = final_url(response, url)
            return Answer(answered, response.status, found, body, shown, longest_wait(url, answered))


@contextmanager
def _in_exchange(exchange: Exchange) -> Iterator[None]:
    token = CURRENT.set(exchange)
    try:
        yield
    except LocationParseError:
        raise BadAddress(url=exchange.url, why="it cannot be read") from None
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in OF_DISKS:  # what was fetched could not be written
            raise
        raise _as_fact(error, exchange.url, exchange.host) from error
    finally:
        CURRENT.reset(token)


def final_url(response: BaseHTTPResponse, asked: str) -> str:
    """Where the answer came from: the address that was asked, or where its redirects led."""
    for step in response.retries.history if response.retries else ():
        asked = urljoin(asked, step.redirect_location or "")
    return asked


def shown_to(response: BaseHTTPResponse, asked: str, authorization: str) -> str:
    """The credential that the answering address was shown: redirects to other servers leave it out."""
    return authorization if parsed(final_url(response, asked)) == parsed(asked) else ""


def answering_host(response: BaseHTTPResponse, asked: str) -> str:
    """The host at that address."""
    return parsed(final_url(response, asked)).host


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
