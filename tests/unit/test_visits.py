"""Exchanges that go on to another host. An exchange takes a turn there, and its result counts for the circuit there."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from bindery.adapters.http.address_rules import AddressRules, parsed
from bindery.adapters.http.budget import CURRENT, Exchange
from bindery.adapters.http.circuit_breaker import ALONE_SECONDS, IN_A_ROW, CircuitBreakers
from bindery.adapters.http.client import STRANGERS_AT_ONCE, GuardedClient
from bindery.adapters.http.concurrency import AT_ONCE, ConcurrencyLimit
from bindery.adapters.http.visits import Visit
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
        yield Way(client, urls[0], urls[1], opened, broken, lambda: len(second.asked))
        opened.set()
        client.close()
        assert client._turns._places == {}


def path(head: bytes) -> bytes:
    return head.split(b" ", 2)[1]


def reply(body: bytes, location: str | None) -> bytes:
    status, headers = ("302 Found", [f"Location: {location}"]) if location else ("200 OK", [])
    return answer(body, "text/plain", status, "Connection: close", *headers)


def running(client: GuardedClient) -> dict[str, int]:
    """Return the numbers of turns that are held, by key, and check that no exchange waits."""
    assert not any(place.waiting for place in client._turns._places.values())
    return {key: place.running for key, place in client._turns._places.items()}


def turns(url: str, number: int = AT_ONCE) -> dict[str, int]:
    """Return the turns that this number of questions at the address hold."""
    address = parsed(url)
    return {f"{address.host}:{address.port} False": number}


def port(server: ScriptedServer) -> str:
    return server.address.rpartition(":")[2]


def test_a_redirect_takes_a_turn_at_the_host_that_it_leads_to(way: Way) -> None:
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
        with too_many, way.client.exchange(way.first), way.client.ask("GET", way.second, {}):
            pass
        assert running(way.client) == turns(way.second)


def test_a_turn_that_was_refused_is_refused_again_within_the_exchange(way: Way) -> None:
    with ExitStack() as held:
        for _ in range(AT_ONCE):
            held.enter_context(way.client.exchange(way.second))
        with way.client.exchange(way.first):
            for _ in range(2):
                too_many = pytest.raises(HostUnreachable, match="too many requests")
                with too_many, way.client.ask("GET", way.second, {}):
                    pass
                assert running(way.client) == turns(way.second)
            with way.client.ask("GET", way.first, {}) as response:
                assert response.read() == b"first"
            assert running(way.client) == turns(way.second) | turns(way.first, 1)
        assert way.arrived() == 0


def test_the_second_of_two_queues_that_refuses_leaves_no_turn_in_the_first() -> None:
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
                CURRENT.get().go(parsed("http://more.example/"))
            assert running(client) == before
    assert running(client) == {}


def test_a_circle_of_redirects_takes_a_turn_at_a_time_and_leaves_none(way: Way) -> None:
    assert way.client.get(f"{way.first}there").body == b"first"
    assert running(way.client) == {}
    with pytest.raises(BadAddress, match="again and again"):
        way.client.get(f"{way.first}circle")
    assert running(way.client) == {}
    with way.client.exchange(way.first), way.client.ask("GET", f"{way.first}there", {}) as response:
        assert response.read() == b"first"
        assert running(way.client) == turns(way.first, 1)


def test_a_host_that_hangs_behind_a_redirect_holds_no_turn_of_the_host_that_led_there(way: Way) -> None:
    way.open.clear()
    with ThreadPoolExecutor(AT_ONCE) as workers:
        hanging = [workers.submit(way.client.get, f"{way.first}away") for _ in range(AT_ONCE)]
        while way.arrived() < AT_ONCE:
            assert not any(each.done() for each in hanging)
        assert way.client.get(way.first).body == b"first"
        way.open.set()
        assert [each.result().body for each in hanging] == [b"second"] * AT_ONCE


def test_a_host_that_is_silent_behind_redirects_is_left_alone_and_named(way: Way) -> None:
    way.broken.set()
    for _ in range(IN_A_ROW):
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
            with pytest.raises(HostDown), way.client.ask("GET", way.second, {}):
                pass
            assert running(way.client) == {}
    assert way.arrived() == arrived
    assert way.client.get(way.first).body == b"first"


def test_a_host_that_a_slow_one_leads_to_is_not_blamed_for_the_time_that_it_did_not_have(way: Way) -> None:
    way.open.clear()
    for _ in range(IN_A_ROW):
        with pytest.raises(HostUnreachable) as caught:
            way.client.get(f"{way.first}late", seconds=LATE_SECONDS + 0.4)
        assert (type(caught.value), caught.value.facts["host"]) == (HostUnreachable, SECOND)
        assert running(way.client) == {}
    way.open.set()
    assert way.client.get(way.second).body == b"second"


def test_a_host_that_an_errand_comes_to_at_its_end_is_not_blamed_either(way: Way) -> None:
    way.open.clear()
    for _ in range(IN_A_ROW):
        late = way.client.exchange(way.second, seconds=0.1, download=True)
        with pytest.raises(HostUnreachable), late, way.client.ask("GET", way.second, {}):
            pass
    way.open.set()
    assert way.client.get(way.second).body == b"second"


def exchange(seconds: float) -> Exchange:
    """Return an exchange with longest waits of one second each."""
    deadline = time.monotonic() + seconds
    return Exchange(AddressRules(), on_this_machine, "http://x.example/", "", seconds, 1, 1, 1, deadline=deadline)


@pytest.mark.parametrize(("seconds_left", "verdict"), [(20, False), (0.9, None)])
def test_the_end_of_an_exchange_counts_for_a_host_that_had_its_share_of_it(
    seconds_left: float, verdict: bool | None
) -> None:
    errand = exchange(seconds_left)
    errand.arrive("x.example:80")
    assert errand.heard(True) is False  # refused before the deadline, as by a closed port
    errand.deadline = time.monotonic()
    assert errand.heard(True) is verdict


def test_time_that_was_lost_before_a_turn_came_leaves_the_circuit_alone() -> None:
    turns, circuits, errand = ConcurrencyLimit(), CircuitBreakers(time.time), exchange(0)
    for _ in range(IN_A_ROW):
        with (
            pytest.raises(HostUnreachable, match="no full answer"),
            Visit(turns, circuits, errand, lambda _: {}) as visit,
        ):
            visit.go(parsed("http://x.example/"))
    assert circuits._silences == {}
    assert errand.place == ""


def test_a_try_of_a_silent_host_that_had_no_time_leaves_the_next_one_to_try() -> None:
    now = 1000.0
    circuits = CircuitBreakers(lambda: now)

    def errand(verdict: bool | None) -> None:
        with circuits.errand("x.example:80", "x.example", lambda _: verdict):
            pass

    for _ in range(IN_A_ROW):
        errand(False)
    now += ALONE_SECONDS + 1
    errand(None)
    errand(False)
    with pytest.raises(HostDown):
        errand(None)


def test_a_turn_is_kept_on_the_way_to_another_name_of_its_group() -> None:
    client = GuardedClient(turn_seconds=0, quiet_seconds=0)
    with client.exchange("http://forge.example/"):
        before = dict(client._turns._places)
        moved = {key: place.moved for key, place in before.items()}
        CURRENT.get().go(parsed("https://www.forge.example/"))
        assert client._turns._places == before
        assert {key: place.moved for key, place in client._turns._places.items()} == moved
    assert client._turns._places == {}
