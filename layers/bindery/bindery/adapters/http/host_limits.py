"""Limits that protect each host and our workers: concurrent exchanges with a host, and a pause for a host that is silent.

An exchange holds a turn at its current host, and its result counts for that host's circuit breaker. Hosts that the settings do
not name share the turns of their group.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network
from types import TracebackType
from typing import Final, Self

from bindery.adapters.http.address_rules import Address
from bindery.adapters.http.budget import SLICE_SECONDS, Budget
from bindery.domain.errors import HostDown, HostUnreachable

AT_ONCE: Final = 3
GROUP_WAITING, STRANGERS_AT_ONCE = 3, 8
"""Limits for hosts that the settings do not name: requests that wait for a turn at one group, and concurrent requests to all groups.

The local control plane has 16 threads that resolve repositories: one group holds at most 6 of them, and all groups half."""
TOO_MANY: Final = "too many requests to it are under way; try again in a moment"
FAILURES_TO_OPEN: Final = 5
"""Requests in a row without a single byte in response. Requests for a slow repository of a healthy host cannot open the circuit."""
OPEN_SECONDS: Final = 30
MOST_CIRCUITS: Final = 1000
GENERIC: Final = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gouv", "govt", "mil", "ne", "net", "nom", "or", "org"}
)
"""Second-level domains below which countries register names."""


@dataclass(frozen=True)
class QueueLimits:
    """Limits of one queue for turns. seconds: the longest wait for a turn.

    quiet_seconds: the longest wait while no exchange with the same host ends: all of them probably hang.
    at_once: concurrent exchanges. most_waiting: maximum of waiting exchanges; None: unlimited.
    """

    seconds: float
    quiet_seconds: float
    at_once: int = AT_ONCE
    most_waiting: int | None = None


DOWNLOADS: Final = QueueLimits(seconds=60, quiet_seconds=60)


def queues_for(address: Address, limits: QueueLimits, *, configured: bool, download: bool) -> Mapping[str, QueueLimits]:
    """Return the queues that an exchange needs a turn of, by key: the host's own, or its group's and the one that all groups share.

    limits: those of short requests; downloads have their own queues and limits. configured: the settings name the host.
    """
    limits = DOWNLOADS if download else limits
    if configured:
        return {f"{address.host}:{address.port} {download}": limits}
    waiting = None if download else GROUP_WAITING
    return {
        f"group {group_of(address.host)} {download}": replace(limits, most_waiting=waiting),
        f"strangers {download}": replace(limits, at_once=STRANGERS_AT_ONCE),
    }


def group_of(host: str) -> str:
    """Return the group of a host: the names below one registered domain, or the addresses of one network. host: as `parsed` spells it.

    A wildcard name and an address block each have any number of hosts. Grouping keeps them from multiplying one visitor's share.
    The rule for names below countries is approximate: if it is wrong, unrelated hosts share one group's turns.
    """
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.split(".")
        country = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in GENERIC
        return ".".join(labels[-3 if country else -2 :])
    bits = 48 if isinstance(address, IPv6Address) else 24
    return str(ip_network((address, bits), strict=False))


@dataclass
class _Queue:
    running: int = 0
    waiting: int = 0
    last_end: float = 0


class ConcurrencyLimit:
    """Semaphore per key: at most `at_once` exchanges run at a time for each key.

    A hanging host thus blocks few workers, however many visitors request it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queues: dict[str, _Queue] = {}

    @contextmanager
    def turn(self, key: str, host: str, limits: QueueLimits, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a turn and hold it in the block. Raises HostUnreachable about `host`. check: called while waiting; may raise."""
        with self._changed:
            queue = self._queues.setdefault(key, _Queue())
            queue.waiting += 1
            try:
                self._wait(queue, host, limits, check)
                queue.running += 1
            finally:
                queue.waiting -= 1
                self._drop_if_empty(key, queue)
        try:
            yield
        finally:
            with self._changed:
                queue.running -= 1
                queue.last_end = time.monotonic()
                self._drop_if_empty(key, queue)
                self._changed.notify_all()

    def _wait(self, queue: _Queue, host: str, limits: QueueLimits, check: Callable[[], None]) -> None:
        began = time.monotonic()
        while queue.running >= limits.at_once:
            check()
            if limits.most_waiting is not None and queue.waiting > limits.most_waiting:
                raise HostUnreachable(host=host, why=TOO_MANY)
            end = min(began + limits.seconds, max(began, queue.last_end) + limits.quiet_seconds)
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise HostUnreachable(host=host, why=TOO_MANY)
            self._changed.wait(min(remaining, SLICE_SECONDS))

    def _drop_if_empty(self, key: str, queue: _Queue) -> None:
        if not queue.running and not queue.waiting:
            self._queues.pop(key, None)


@dataclass
class _Circuit:
    """Failures in a row of one host. open_until: no requests before that time, except one that probes the host."""

    since: float
    failures: int = 0
    open_until: float = 0


class CircuitBreakers:
    """Circuit breakers of this process, by key: requests to a silent host fail at once for a while. now: UTC seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    @contextmanager
    def guard(self, key: str, host: str, responded: Callable[[bool], bool | None]) -> Iterator[None]:
        """Run one exchange with the host. Raises HostDown at once while its circuit is open, with the time since it is silent.

        responded: called with True if HostUnreachable was raised; returns True if the host sent a response, False if it was
        silent, None if unknown.
        """
        is_probe = self._check(key, host)
        unreachable = False
        try:
            yield
        except HostUnreachable:
            unreachable = True
            raise
        finally:
            self._record(key, responded(unreachable), is_probe)

    def _record(self, key: str, responded: bool | None, is_probe: bool) -> None:
        with self._lock:
            if responded:
                self._circuits.pop(key, None)
            elif responded is None and is_probe and key in self._circuits:
                self._circuits[key].open_until = 0  # no result: the next exchange probes the host
            if responded is not False:
                return
            if len(self._circuits) >= MOST_CIRCUITS:
                self._circuits.clear()
            circuit = self._circuits.setdefault(key, _Circuit(self._now()))
            circuit.failures += 1
            if circuit.failures >= FAILURES_TO_OPEN:
                circuit.open_until = self._now() + OPEN_SECONDS

    def _check(self, key: str, host: str) -> bool:
        """Return True if this exchange probes a silent host. Raises HostDown for the other exchanges."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or circuit.failures < FAILURES_TO_OPEN:
                return False
            if self._now() < circuit.open_until:
                raise HostDown(host=host, since=circuit.since)
            circuit.open_until = self._now() + OPEN_SECONDS  # the others wait for this probe
            return True


class CurrentHost:
    """Turns and circuit breakers of one exchange as it moves from host to host, such as along redirects.

    An exchange is at one host at a time. It releases its turn before it waits for the next one, so two exchanges never wait for
    each other, and no turn at a redirecting host is held during the request to the redirect's target.
    queues: the turns that an address needs, by key.
    """

    def __init__(
        self,
        turns: ConcurrencyLimit,
        circuits: CircuitBreakers,
        budget: Budget,
        queues: Callable[[Address], Mapping[str, QueueLimits]],
    ) -> None:
        self._turns = turns
        self._circuits = circuits
        self._budget = budget
        self._queues = queues
        self._queue_keys: tuple[str, ...] = ()
        self._turn = ExitStack()
        self._circuit = ExitStack()

    def __enter__(self) -> Self:
        self._turn.__enter__()
        self._circuit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._circuit.__exit__(kind, error, trace)
        finally:
            self._turn.__exit__(kind, error, trace)

    def move_to(self, address: Address) -> None:
        """Take a turn at the address, unless the exchange already has it.

        Raises HostUnreachable and HostDown. The exchange then holds no turn, and a later request takes all these steps again.
        """
        budget, host_port = self._budget, f"{address.host}:{address.port}"
        if budget.host_port == host_port:
            return
        self._circuit.close()
        budget.begin_move(address.host)
        try:
            self._take_turn(address)
            budget.check()  # before the circuit: a timeout while waiting for a turn is no evidence about the host
            self._circuit.enter_context(self._circuits.guard(host_port, address.host, budget.host_responded))
        except BaseException:
            self._release_turn()
            raise
        budget.end_move(host_port)

    def _take_turn(self, address: Address) -> None:
        queues = self._queues(address)
        if tuple(queues) == self._queue_keys:
            return
        self._release_turn()
        for key, limits in queues.items():
            self._turn.enter_context(self._turns.turn(key, address.host, limits, self._budget.check))
        self._queue_keys = tuple(queues)

    def _release_turn(self) -> None:
        self._queue_keys = ()
        self._turn.close()
