"""Current host of an exchange: the exchange holds a turn there, and its result counts for that host's circuit breaker."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from bindery.adapters.http.address_rules import Address
from bindery.adapters.http.budget import Exchange
from bindery.adapters.http.circuit_breaker import CircuitBreakers
from bindery.adapters.http.concurrency import ConcurrencyLimit, Queueing


class Visit:
    """Turns and circuit breakers of one exchange as it moves from host to host, such as along redirects.

    An exchange is at one host at a time. It releases its turn before it waits for the next one, so two exchanges never wait for
    each other, and no turn at a redirecting host is held during the request to the redirect's target.
    queues: the turns that an address needs, by key.
    """

    def __init__(
        self,
        turns: ConcurrencyLimit,
        circuits: CircuitBreakers,
        exchange: Exchange,
        queues: Callable[[Address], Mapping[str, Queueing]],
    ) -> None:
        self._turns = turns
        self._circuits = circuits
        self._exchange = exchange
        self._queues = queues
        self._held: tuple[str, ...] = ()
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

    def go(self, address: Address) -> None:
        """Take a turn at the address, unless the exchange already has it.

        Raises HostUnreachable and HostDown. The exchange then holds no turn, and a later request takes all these steps again.
        """
        exchange, place = self._exchange, f"{address.host}:{address.port}"
        if exchange.place == place:
            return
        self._circuit.close()
        exchange.set_out(address.host)
        try:
            self._take_turn(address)
            exchange.check()  # before the circuit: a timeout while waiting for a turn is no evidence about the host
            self._circuit.enter_context(self._circuits.errand(place, address.host, exchange.heard))
        except BaseException:
            self._leave_turn()
            raise
        exchange.arrive(place)

    def _take_turn(self, address: Address) -> None:
        queues = self._queues(address)
        if tuple(queues) == self._held:
            return
        self._leave_turn()
        for key, queueing in queues.items():
            self._turn.enter_context(self._turns.turn(key, address.host, queueing, self._exchange.check))
        self._held = tuple(queues)

    def _leave_turn(self) -> None:
        self._held = ()
        self._turn.close()
