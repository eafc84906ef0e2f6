"""Exchanges that go on to another host. An exchange takes a turn there, and its result counts for the circuit there."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from bindery.adapters.http.address_rules import AddressRules, parsed
from bindery.adapters.http.budget import CURRENT_BUDGET, Budget
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.host_limits import (
    AT_ONCE,
    FAILURES_TO_OPEN,
    OPEN_SECONDS,
    STRANGERS_AT_ONCE,
    CircuitBreakers,
    ConcurrencyLimit,
    CurrentHost,
)
from bindery.domain.errors import BadAddress, HostDown, HostUnreachable
from tests.serving.loopback import on_this_machine
from tests.serving.scripted import ScriptedServer, answer

FIRST, SECOND = "first.example", "second.example"
LATE_SECONDS = 0.2


class Way(NamedTuple):
    """A client and the addresses of two servers that redirect to each other.

    first: redirects `/away` to `second`, `/late` to `second` after LATE_SECONDS, `/there` to the `/back` of `second`,
    and `/circle` to the `/round` of `second`. It answers all other paths.

    second: answers once `open` is set, and breaks off while `broken` is set. It redirects `/back` to `first`,
    and `/round` to the `/circle` of `first`.

    arrived: returns the number of requests that reached `second`.
    """

    client: GuardedClient
    first: str
    second: str
    open: threading.Event
    broken: threading.Event
    arrived: Callable[[], int]


@pytest.fixture
def way() -> Iterator[Way]:
    opened, broken = threading.Event(), threading.Event()
    opened.set()

    def script(head: bytes) -> Iterator[bytes]:
        opened.wait(20)
        if not broken.is_set():
            back = f"http://{FIRST}:{port(first)}/"
            yield reply(b"second", {b"/back": back, b"/round": f"{back}circle"}.get(path(head)))

    def leads(head: bytes) -> Iterator[bytes]:
        if path(head) == b"/late":
            time.sleep(LATE_SECONDS)
        there = f"http://{SECOND}:{port(second)}/"
        ways = {b"/away": there, b"/late": there, b"/there": f"{there}back", b"/circle": f"{there}round"}
        yield reply(b"first", ways.get(path(head)))

    with ScriptedServer(script) as second, ScriptedServer(leads) as first:
        places = f"{FIRST}:{port(first)}", f"{SECOND}:{port(second)}"
        client = GuardedClient(places, resolver=on_this_machine, turn_seconds=0.2, quiet_seconds=0.2)
        urls = f"http://{places[0]}/", f"http://{places[1]}/"
        yield Way(client, urls[0], urls[1], opened, broken, lambda: len(second.requests))
        opened.set()
        client.close()
        assert client._turns._queues == {}


def path(head: bytes) -> bytes:
    return head.split(b" ", 2)[1]


def reply(body: bytes, location: str | None) -> bytes:
    status, headers = ("302 Found", [f"Location: {location}"]) if location else ("200 OK", [])
    return answer(body, "text/plain", status, "Connection: close", *headers)


def running(client: GuardedClient) -> dict[str, int]:
    """Return the numbers of turns that are held, by key, and check that no exchange waits."""
    assert not any(queue.waiting for queue in client._turns._queues.values())
    return {key: queue.running for key, queue in client._turns._queues.items()}


def turns(url: str, number: int = AT_ONCE) -> dict[str, int]:
    """Return the turns that this number of questions at the address hold."""
    address = parsed(url)
    return {f"{address.host}:{address.port} False": number}


def port(server: ScriptedServer) -> str:
    return server.address.rpartition(":")[2]


def test_a_redirect_takes_a_turn_at_its_target_host(way: Way) -> None:
    with ExitStack() as held:
        for _ in range(AT_ONCE):
            held.enter_context(way.client.exchange(way.second))
        with pytest.raises(HostUnreachable, match="too many requests") as caught:
            way.client.get(f"{way.first}away")
        assert caught.value.facts["host"] == SECOND
        assert running(way.client) == turns(way.second)
        assert way.arrived() == 0
    assert way.client.get(f"{way.first}away").body == b"second"


def test_a_request_within_an_exchange_takes_a_turn_at_its_own_host(way: Way) -> None:
    with ExitStack() as held:
        for _ in range(AT_ONCE):
            held.enter_context(way.client.exchange(way.second))
        too_many = pytest.raises(HostUnreachable, match="too many requests")
        with too_many, way.client.exchange(way.first), way.client.stream("GET", way.second, {}):
            pass
        assert running(way.client) == turns(way.second)


def test_a_refused_turn_is_refused_again_within_the_exchange(way: Way) -> None:
    with ExitStack() as held:
        for _ in range(AT_ONCE):
            held.enter_context(way.client.exchange(way.second))
        with way.client.exchange(way.first):
            for _ in range(2):
                too_many = pytest.raises(HostUnreachable, match="too many requests")
                with too_many, way.client.stream("GET", way.second, {}):
                    pass
                assert running(way.client) == turns(way.second)
            with way.client.stream("GET", way.first, {}) as response:
                assert response.read() == b"first"
            assert running(way.client) == turns(way.second) | turns(way.first, 1)
        assert way.arrived() == 0


def test_a_refusal_by_the_second_queue_leaves_no_turn_in_the_first() -> None:
    client = GuardedClient(known_hosts=[FIRST], turn_seconds=0, quiet_seconds=0)
    with ExitStack() as held:
        for number in range(STRANGERS_AT_ONCE):
            held.enter_context(client.exchange(f"http://forge{number}.example/"))
        before = running(client)
        assert before["strangers False"] == STRANGERS_AT_ONCE
        with pytest.raises(HostUnreachable, match="too many requests"), client.exchange("http://more.example/"):
            pass
        assert running(client) == before
        with client.exchange(f"http://{FIRST}/"):
            with pytest.raises(HostUnreachable, match="too many requests"):
                CURRENT_BUDGET.get().move_to(parsed("http://more.example/"))
            assert running(client) == before
    assert running(client) == {}


def test_a_redirect_loop_takes_one_turn_at_a_time_and_leaves_none(way: Way) -> None:
    assert way.client.get(f"{way.first}there").body == b"first"
    assert running(way.client) == {}
    with pytest.raises(BadAddress, match="again and again"):
        way.client.get(f"{way.first}circle")
    assert running(way.client) == {}
    with way.client.exchange(way.first), way.client.stream("GET", f"{way.first}there", {}) as response:
        assert response.read() == b"first"
        assert running(way.client) == turns(way.first, 1)


def test_a_hanging_host_behind_a_redirect_uses_no_turn_of_the_redirecting_host(way: Way) -> None:
    way.open.clear()
    with ThreadPoolExecutor(AT_ONCE) as workers:
        hanging = [workers.submit(way.client.get, f"{way.first}away") for _ in range(AT_ONCE)]
        while way.arrived() < AT_ONCE:
            assert not any(each.done() for each in hanging)
        assert way.client.get(way.first).body == b"first"
        way.open.set()
        assert [each.result().body for each in hanging] == [b"second"] * AT_ONCE


def test_a_silent_host_behind_redirects_is_named_and_not_requested_for_a_while(way: Way) -> None:
    way.broken.set()
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(HostUnreachable) as caught:
            way.client.get(f"{way.first}away")
        assert (type(caught.value), caught.value.facts["host"]) == (HostUnreachable, SECOND)
        assert running(way.client) == {}
    arrived = way.arrived()
    for url in (way.second, f"{way.first}away"):
        with pytest.raises(HostDown) as down:
            way.client.get(url)
        assert down.value.facts["host"] == SECOND
        assert running(way.client) == {}
    with way.client.exchange(way.first):
        for _ in range(2):
            with pytest.raises(HostDown), way.client.stream("GET", way.second, {}):
                pass
            assert running(way.client) == {}
    assert way.arrived() == arrived
    assert way.client.get(way.first).body == b"first"


def test_a_host_behind_a_slow_redirect_is_not_blamed_for_the_lost_time(way: Way) -> None:
    way.open.clear()
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(HostUnreachable) as caught:
            way.client.get(f"{way.first}late", seconds=LATE_SECONDS + 0.4)
        assert (type(caught.value), caught.value.facts["host"]) == (HostUnreachable, SECOND)
        assert running(way.client) == {}
    way.open.set()
    assert way.client.get(way.second).body == b"second"


def test_a_host_reached_at_the_end_of_an_exchange_is_not_blamed(way: Way) -> None:
    way.open.clear()
    for _ in range(FAILURES_TO_OPEN):
        late = way.client.exchange(way.second, seconds=0.1, download=True)
        with pytest.raises(HostUnreachable), late, way.client.stream("GET", way.second, {}):
            pass
    way.open.set()
    assert way.client.get(way.second).body == b"second"


def budget_of(seconds: float) -> Budget:
    """Return the budget of an exchange with longest waits of one second each."""
    deadline = time.monotonic() + seconds
    return Budget(AddressRules(), on_this_machine, "http://x.example/", "", seconds, 1, 1, 1, deadline=deadline)


@pytest.mark.parametrize(("seconds_left", "verdict"), [(20, False), (0.9, None)])
def test_a_timeout_counts_against_a_host_that_had_enough_time(seconds_left: float, verdict: bool | None) -> None:
    budget = budget_of(seconds_left)
    budget.end_move("x.example:80")
    assert budget.host_responded(True) is False  # refused before the deadline, as by a closed port
    budget.deadline = time.monotonic()
    assert budget.host_responded(True) is verdict


def test_time_lost_before_a_turn_does_not_count_against_the_host() -> None:
    turns, circuits, budget = ConcurrencyLimit(), CircuitBreakers(time.time), budget_of(0)
    for _ in range(FAILURES_TO_OPEN):
        with (
            pytest.raises(HostUnreachable, match="no full answer"),
            CurrentHost(turns, circuits, budget, lambda _: {}) as current,
        ):
            current.move_to(parsed("http://x.example/"))
    assert circuits._circuits == {}
    assert budget.host_port == ""


def test_a_test_request_without_enough_time_leaves_the_test_to_the_next() -> None:
    now = 1000.0
    circuits = CircuitBreakers(lambda: now)

    def exchange(verdict: bool | None) -> None:
        with circuits.guard("x.example:80", "x.example", lambda _: verdict):
            pass

    for _ in range(FAILURES_TO_OPEN):
        exchange(False)
    now += OPEN_SECONDS + 1
    exchange(None)
    exchange(False)
    with pytest.raises(HostDown):
        exchange(None)


def test_a_redirect_within_the_same_group_keeps_its_turn() -> None:
    client = GuardedClient(turn_seconds=0, quiet_seconds=0)
    with client.exchange("http://forge.example/"):
        before = dict(client._turns._queues)
        moved = {key: queue.last_end for key, queue in before.items()}
        CURRENT_BUDGET.get().move_to(parsed("https://www.forge.example/"))
        assert client._turns._queues == before
        assert {key: queue.last_end for key, queue in client._turns._queues.items()} == moved
    assert client._turns._queues == {}
