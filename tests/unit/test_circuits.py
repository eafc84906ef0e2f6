"""The rule that a host that is down is left alone for a while, and that a working host is never left alone."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.host_limits import FAILURES_TO_OPEN, OPEN_SECONDS
from bindery.domain.errors import ForbiddenAddress, HostDown, HostUnreachable, RepositoryTooLarge
from bindery.web.errors.render import error_message
from tests.serving.github_api import GitHubServer
from tests.serving.host_api import Reply

START = 1_800_000_000.0


class Time:
    """A clock that moves only when a test sets it."""

    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def closed() -> str:
    """Return `127.0.0.1:<port>`, where no process listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    with GitHubServer() as server:
        yield server


def fails(ask: Callable[[], object], times: int = FAILURES_TO_OPEN) -> None:
    for _ in range(times):
        with pytest.raises(HostUnreachable) as caught:
            ask()
        assert not isinstance(caught.value, HostDown)


def test_a_host_that_does_not_answer_is_not_requested_again_for_a_while(closed: str, time: Time) -> None:
    client = GuardedClient([closed], now=time)

    def ask() -> object:
        time.now += 1
        return client.get(f"http://{closed}/")

    fails(ask)
    with pytest.raises(HostDown) as caught:
        ask()
    assert caught.value.facts == {"host": "127.0.0.1", "since": START + 1}
    assert "127.0.0.1 has not answered since 08:00 UTC" in error_message(caught.value).message


def test_after_a_while_one_request_tries_a_host_and_others_wait_for_its_result(
    server: GitHubServer, time: Time
) -> None:
    client = GuardedClient([server.address], now=time)
    server.replies["/"] = Reply(503)
    for _ in range(FAILURES_TO_OPEN):
        client.get(f"{server.url}/")
    with pytest.raises(HostDown):
        client.get(f"{server.url}/")
    assert len(server.requests) == FAILURES_TO_OPEN

    time.now += OPEN_SECONDS + 1
    with client.exchange(f"{server.url}/"), pytest.raises(HostDown):
        client.get(f"{server.url}/")

    time.now += OPEN_SECONDS + 1
    server.replies.clear()
    assert client.get(f"{server.url}/").status == 404
    assert client.get(f"{server.url}/").status == 404


def test_a_host_that_answers_sometimes_is_still_requested(server: GitHubServer, time: Time) -> None:
    client = GuardedClient([server.address], now=time)
    for status in (503, 503, 503, 503, 404) * 3:
        server.replies["/"] = Reply(status)
        assert client.get(f"{server.url}/").status == status


@pytest.mark.parametrize("status", [200, 404, 403, 429, 500])
def test_an_error_status_of_the_host_counts_as_an_answer(server: GitHubServer, time: Time, status: int) -> None:
    client = GuardedClient([server.address], now=time)
    server.replies["/"] = Reply(status)
    for _ in range(FAILURES_TO_OPEN + 2):
        assert client.get(f"{server.url}/").status == status


def test_an_answer_that_is_too_large_or_incomplete_counts_as_an_answer(server: GitHubServer, time: Time) -> None:
    client = GuardedClient([server.address], now=time)
    server.replies["/"] = Reply(200, "x" * 5000)
    for _ in range(FAILURES_TO_OPEN + 2):
        with pytest.raises(RepositoryTooLarge):
            client.get(f"{server.url}/", max_bytes=100)
        url = f"{server.url}/"
        with pytest.raises(HostUnreachable) as caught, client.exchange(url), client.stream("GET", url, {}):
            raise HostUnreachable(host="127.0.0.1", why="it sends too slowly")
        assert not isinstance(caught.value, HostDown)


def test_a_refused_or_cancelled_request_does_not_count_against_the_host(closed: str, time: Time) -> None:
    client, url = GuardedClient([closed], now=time), f"http://{closed}/"
    for _ in range(FAILURES_TO_OPEN + 2):
        with suppress(HostUnreachable), client.exchange(url, stopped=lambda: True), client.stream("GET", url, {}):
            pass
        with pytest.raises(ForbiddenAddress), client.exchange(url), client.stream("GET", "http://10.0.0.1/", {}):
            pass
    fails(lambda: client.get(url), 1)


def test_other_hosts_are_requested_meanwhile(closed: str, server: GitHubServer, time: Time) -> None:
    client = GuardedClient([closed, server.address], now=time)
    fails(lambda: client.get(f"http://{closed}/"))
    with pytest.raises(HostDown):
        client.get(f"http://{closed}/")
    assert client.get(f"{server.url}/").status == 404
