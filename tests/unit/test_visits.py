"""An exchange that goes on to another host: it takes a turn there, and the circuit there counts what it finds."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from bindery.adapters.repositories.addresses import parsed
from bindery.adapters.repositories.circuits import IN_A_ROW
from bindery.adapters.repositories.exchange import CURRENT, AddressInfo
from bindery.adapters.repositories.guard import STRANGERS_AT_ONCE, GuardedClient
from bindery.adapters.repositories.turns import AT_ONCE
from bindery.domain.errors import BadAddress, HostDown, HostUnreachable
from tests.serving.scripted import ScriptedServer, answer

FIRST, SECOND = "first.example", "second.example"


def on_this_machine(host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


class Way(NamedTuple):
    """first: redirects `/away` to `second`, `/circle` to its `/back`; answers anything else.

    second: answers once `open` is set, breaks off while `broken` is; redirects `/back` to the first, `/round` to its `/circle`.
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
        there = f"http://{SECOND}:{port(second)}/"
        ways = {b"/away": there, b"/there": f"{there}back", b"/circle": f"{there}round"}
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
    """Turns that are held, by key; nothing waits."""
    assert not any(place.waiting for place in client._turns._places.values())
    return {key: place.running for key, place in client._turns._places.items()}


def turns(url: str, number: int = AT_ONCE) -> dict[str, int]:
    """Return those of as many questions at the address."""
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


def test_a_turn_is_kept_on_the_way_to_another_name_of_its_group() -> None:
    client = GuardedClient(turn_seconds=0, quiet_seconds=0)
    with client.exchange("http://forge.example/"):
        before = dict(client._turns._places)
        moved = {key: place.moved for key, place in before.items()}
        CURRENT.get().go(parsed("https://www.forge.example/"))
        assert client._turns._places == before
        assert {key: place.moved for key, place in client._turns._places.items()} == moved
    assert client._turns._places == {}
