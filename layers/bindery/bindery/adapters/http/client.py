"""The one HTTP client for repository hosts: sends guarded requests, and turns responses into results and errors.

It limits the addresses it connects to, the time of an exchange, and the bytes received.
"""

import errno
import re
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar, cast
from urllib.parse import urljoin

import urllib3
from pydantic import BaseModel, ValidationError
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError, ResponseError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeout
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Timeout

from bindery.adapters.http.address_rules import Address, AddressRules, parsed
from bindery.adapters.http.budget import (
    CURRENT_BUDGET,
    MB,
    PACE_SECONDS,
    Budget,
    GuardedPool,
    GuardedTLSPool,
    GuardedTLSSocket,
    Resolver,
    allow_redirect,
    system_resolver,
)
from bindery.adapters.http.host_limits import CircuitBreakers, ConcurrencyLimit, CurrentHost, QueueLimits, queues_for
from bindery.adapters.http.rate_limits import LONGEST_WAIT, READ_BYTES, RateLimits, longest_wait
from bindery.domain.errors import (
    BadAddress,
    HostUnreachable,
    RepositoryBlocked,
    RepositoryGone,
    RepositoryNotFound,
)
from bindery.ports.contents import never_stopped
from bindery.ports.deadline import most

MIN_BYTES_PER_SECOND = 1000
"""Minimum transfer rate of a download, in bytes per second."""
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
PROXY_ERRORS = frozenset({502, 503, 504})
"""Statuses that a proxy sends when the host behind it does not respond."""
NAMES_A_BLOCK: Final = re.compile(rb"access blocked|dmca|unavailable due to", re.IGNORECASE)
REFUSALS: Final = frozenset({401, 403, 404, 410, 451})
STATUS_MEANINGS: Final = {500: "an error of its own", 502: "down", 503: "down or in maintenance", 504: "overloaded"}
FEW_VALUES: Final = 50_000
"""Limit for hosts that visitors choose: at most 100 MB of memory for any values."""
MANY_VALUES: Final = 800_000
"""Size of the longest file listing that GitHub sends: 100,000 entries of six values each, and the entries themselves."""

Model = TypeVar("Model", bound=BaseModel)


class GuardedPools(urllib3.PoolManager):
    """Pool manager that checks the address of every request and redirect. It never decompresses: size limits count bytes on the wire.

    rate_limits: checked for hosts that redirects lead to; the caller checks the first host's.
    """

    def __init__(self, rules: AddressRules, rate_limits: RateLimits, now: Callable[[], float], user_agent: str) -> None:
        super().__init__(num_pools=50, maxsize=8, headers={"User-Agent": user_agent})
        self.pool_classes_by_scheme = {"http": GuardedPool, "https": GuardedTLSPool}
        self._rules = rules
        self._rate_limits = rate_limits
        self._now = now

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: object) -> BaseHTTPResponse:  # type: ignore[override] # PoolManager's own signature also differs from its base
        address = self._rules.check(url)
        retries = kw.setdefault("retries", _retries())
        if isinstance(retries, Retry) and retries.history:
            self._check_scheme(retries.history[-1].url or "", url, address)
            CURRENT_BUDGET.get().check_redirect(url)
            headers = cast("Mapping[str, str]", kw["headers"])
            self._rate_limits.check(url, self._now(), headers.get("Authorization", ""), free="If-None-Match" in headers)
        CURRENT_BUDGET.get().move_to(address)
        if address.scheme == "https" and "ssl_context" not in self.connection_pool_kw:
            self.connection_pool_kw["ssl_context"] = (
                _tls()
            )  # reading the CA list takes a while: once, and only if needed
        kw.update(preload_content=False, decode_content=False)
        return super().urlopen(method, url, redirect and method == "GET", **kw)

    def _check_scheme(self, came_from: str, url: str, address: Address) -> None:
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
    longest_wait: float = LONGEST_WAIT

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
    pace_seconds: the longest time that a download may be slower than MIN_BYTES_PER_SECOND. now: UTC seconds.
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
        self._queue_limits = QueueLimits(turn_seconds, quiet_seconds)
        self._pace_seconds = pace_seconds
        self._turns = ConcurrencyLimit()
        self._circuits = CircuitBreakers(now)
        self.rate_limits = RateLimits()
        self._pools = GuardedPools(self._rules, self.rate_limits, now, user_agent)

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
        stopped: Callable[[], bool] = never_stopped,
        download: bool = False,
        check_redirect: Callable[[str], None] = allow_redirect,
    ) -> Iterator[None]:
        """Limit all requests inside the block, and turn transport errors into errors about the requested host.

        The exchange holds a turn at one host at a time: the host of `url`, then each other host that it requests or is redirected to.

        download: the exchange may be long, but must keep a minimum transfer rate; its turns are counted apart from other requests.
        check_redirect: raises for an address that no redirect may lead to.
        """
        address = self._rules.check(url)
        host = address.host
        seconds = most(seconds)
        waits = (self._connect_seconds, self._read_seconds)
        budget = Budget(
            *(self._rules, self._resolver, url, host, seconds, max_bytes, *waits),
            deadline=time.monotonic() + seconds,
            stopped=stopped,
            slowest=MIN_BYTES_PER_SECOND if download else 0,
            pace_seconds=self._pace_seconds,
            check_redirect=check_redirect,
        )
        with CurrentHost(self._turns, self._circuits, budget, partial(self._queues, download=download)) as current:
            current.move_to(address)
            budget.move_to = current.move_to
            with _within(budget):
                yield

    def _queues(self, address: Address, *, download: bool) -> Mapping[str, QueueLimits]:
        configured = address.host in self._known_hosts or self._rules.allows(address.host, address.port)
        return queues_for(address, self._queue_limits, configured=configured, download=download)

    def record_rate_limit(
        self,
        response: BaseHTTPResponse,
        url: str,
        now: float,
        authorization: str = "",
        *,
        longest: float = LONGEST_WAIT,
    ) -> bytes:
        """Record a response's rate limit. Return the beginning of its body if its status is 403, else empty bytes.

        url, authorization: those of the request. now: UTC seconds. longest: maximum seconds that a wait is remembered; less if a
        redirect led to another server. Raises HostLimited and HostBusy.
        """
        body = response.read(READ_BYTES, decode_content=False) if response.status == 403 else b""
        credential = credential_sent(response, url, authorization)
        answered = final_url(response, url)
        longest = min(longest, longest_wait(url, answered))
        self.rate_limits.record_response(
            answered, response.status, response.headers, now, credential, body=body, longest=longest
        )
        return body

    @contextmanager
    def stream(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """Send a request inside an exchange and yield the response. The connection is reused if the response was read to its end."""
        timeout = Timeout(connect=self._connect_seconds, read=self._read_seconds)
        merged = {**self._pools.headers, **headers}
        response = self._pools.urlopen(method, url, headers=merged, body=body, timeout=timeout)
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
        stopped: Callable[[], bool] = never_stopped,
    ) -> Answer:
        """Return one small response, of any status."""
        exchange = self.exchange(url, seconds=seconds, max_bytes=max_bytes, stopped=stopped)
        with exchange, self.stream("GET", url, headers or {}) as response:
            CURRENT_BUDGET.get().from_proxy = response.status in PROXY_ERRORS
            received = {name.lower(): value for name, value in response.headers.items()}
            credential = credential_sent(response, url, (headers or {}).get("Authorization", ""))
            body = response.read(decode_content=False)
            answered = final_url(response, url)
            return Answer(answered, response.status, received, body, credential, longest_wait(url, answered))


@contextmanager
def _within(budget: Budget) -> Iterator[None]:
    """Make `budget` the current one, and raise transport errors as errors about the requested host."""
    token = CURRENT_BUDGET.set(budget)
    try:
        yield
    except LocationParseError:
        raise BadAddress(url=budget.url, why="it cannot be read") from None
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:  # the fetched data could not be written
            raise
        raise _domain_error(error, budget.url, budget.host) from error
    finally:
        CURRENT_BUDGET.reset(token)


def final_url(response: BaseHTTPResponse, requested: str) -> str:
    """Return the response's address: the requested one, or the target of its redirects."""
    url = requested
    for step in response.retries.history if response.retries else ():
        url = urljoin(url, step.redirect_location or "")
    return url


def credential_sent(response: BaseHTTPResponse, requested: str, authorization: str) -> str:
    """Return the credential sent to the responding address; empty after a redirect to another server."""
    return authorization if parsed(final_url(response, requested)) == parsed(requested) else ""


def responding_host(response: BaseHTTPResponse, requested: str) -> str:
    """Return the host of the response's address, after redirects."""
    return parsed(final_url(response, requested)).host


def _domain_error(error: HTTPError | OSError, url: str, host: str) -> BadAddress | HostUnreachable:
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


def refusal(status: int, url: str, body: bytes = b"") -> RepositoryNotFound | None:
    """Return the error about the repository at `url`; None if the status is not about a repository."""
    if status == 410:
        return RepositoryGone(url=url)
    if status == 451 or (status == 403 and NAMES_A_BLOCK.search(body[:READ_BYTES])):
        return RepositoryBlocked(url=url)
    return RepositoryNotFound(url=url) if status in REFUSALS else None


def unexpected_status(host: str, status: int) -> HostUnreachable:
    """Return the error for a host that sent neither a success nor a refusal."""
    means = f", which means: {STATUS_MEANINGS[status]}" if status in STATUS_MEANINGS else ""
    return HostUnreachable(host=host, why=f"it answers with status {status}{means}")


def read_json(kind: type[Model], body: bytes, host: str, most: int = MANY_VALUES) -> Model:
    """Return the JSON body as an instance of `kind`. Raises HostUnreachable about `host`.

    A list of empty objects takes 300 bytes of memory for each byte of text, so a limit on the body's size is not enough.
    pydantic's parser bounds the depth and the length of numbers.
    """
    if sum(body.count(mark) for mark in (b",", b"{", b"[")) > most:
        raise HostUnreachable(host=host, why="its answer holds more than can be read")
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        raise HostUnreachable(host=host, why="its answer cannot be read") from None
