"""The common behavior of all hosts with an API: waiting when a host demands it, and one request for many callers."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bindery.adapters.hosts.github.api import github_api
from bindery.adapters.hosts.rest_api import HostApi
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.rate_limits import rate_limit_error
from bindery.adapters.http.single_flight import SingleFlight
from bindery.domain.errors import HostLimited, HostUnreachable, RefNotFound
from tests.fakes.clock import FakeClock
from tests.serving.github_api import GitHubServer
from tests.serving.host_api import Reply


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    with GitHubServer() as server:
        server.replies["/x"] = Reply(200, {"a": 1})
        yield server


@pytest.fixture
def api(server: GitHubServer, clock: FakeClock) -> HostApi:
    return github_api(GuardedClient([server.address]), clock, server.url, "")


def test_a_rate_limited_host_is_requested_again_after_its_time(
    api: HostApi, server: GitHubServer, clock: FakeClock
) -> None:
    server.limited_until = int(clock.time) + 600
    for _ in range(3):
        with pytest.raises(HostLimited) as caught:
            api.get("/x", "")
        assert caught.value.facts["at"] == clock.time + 600
    assert len(server.requests) == 1
    server.limited_until = None
    clock.time += 601
    assert api.get("/x", "").body
    assert len(server.requests) == 2


def test_a_rate_limit_applies_to_all_providers_of_the_host(server: GitHubServer, clock: FakeClock) -> None:
    client = GuardedClient([server.address])
    server.limited_until = int(clock.time) + 600
    for _ in range(2):
        with pytest.raises(HostLimited):
            github_api(client, clock, server.url, "").get("/x", "")
    assert len(server.requests) == 1


def test_a_rate_limited_host_gets_only_requests_that_its_quota_ignores(
    api: HostApi, server: GitHubServer, clock: FakeClock
) -> None:
    etag = api.get("/x", "").etag
    server.limited_until = int(clock.time) + 600
    with pytest.raises(HostLimited):
        api.get("/y", "")
    assert api.get("/x", "", etag=etag).unchanged
    assert [request.status for request in server.requests] == [200, 403, 304]


def test_a_host_that_demands_a_wait_in_seconds_gets_no_request(
    api: HostApi, server: GitHubServer, clock: FakeClock
) -> None:
    etag = api.get("/x", "").etag
    server.replies["/y"] = Reply(429, None, {"Retry-After": "60"})
    for path in ("/y", "/x"):
        with pytest.raises(HostLimited) as caught:
            api.get(path, "", etag=etag)
        assert caught.value.facts["at"] == clock.time + 60
    assert [request.path for request in server.requests] == ["/x", "/y"]


def test_a_refused_token_is_logged_and_not_sent_for_ten_minutes(
    server: GitHubServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    api = github_api(GuardedClient([server.address]), clock, server.url, "t0ken0t0ken")
    with caplog.at_level(logging.WARNING, "bindery"):
        for seconds in (0, 0, 599, 1):
            clock.time += seconds
            assert api.get("/x", "").body
            assert api.may_have_token, "else nobody would look what is private"
    assert [request.status for request in server.requests] == [401, 200, 200, 200, 401, 200]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "127.0.0.1 refuses its token" in caplog.text
    assert "t0ken0t0ken" not in caplog.text


def test_a_token_refused_for_one_path_is_sent_for_others(server: GitHubServer, clock: FakeClock) -> None:
    api = github_api(GuardedClient([server.address]), clock, server.url, "t")
    server.tokens.add("t")
    server.forbidden.add("/x")
    server.replies["/y"] = Reply(200, {})
    for path in ("/x", "/y"):
        api.get(path, "")
    assert [request.status for request in server.requests] == [403, 200, 200]
    assert "authorization" in server.requests[-1].headers


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"Retry-After": "30", "X-RateLimit-Reset": "1800000900"}, 30),
        ({"X-RateLimit-Reset": "1800000900"}, 900),
        ({"ratelimit-reset": "1800000900"}, 900),
        ({"RateLimit-Reset": "-1"}, 60),
        ({"Retry-After": "Fri, 15 Jan 2027 08:01:40 GMT"}, 100),
        ({"Retry-After": "9" * 15}, 24 * 3600),
        ({"X-RateLimit-Reset": "5"}, 0),
        ({}, 60),
    ],
)
def test_the_wait_is_that_of_the_headers_within_a_day(headers: dict[str, str], after: float) -> None:
    now = 1_800_000_000.0
    assert rate_limit_error("h", headers, now).facts["at"] == now + after


def test_concurrent_calls_for_one_key_run_once() -> None:
    flights, going, calls = SingleFlight[int](), threading.Event(), []

    def ask() -> int:
        calls.append(1)
        going.wait(10)
        return 7

    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(flights.run("k", ask))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert flights.run("other", lambda: 1) == 1
    going.set()
    for thread in threads:
        thread.join(10)
    assert answers == [7] * 8
    assert 1 <= len(calls) < 8


def test_concurrent_calls_share_an_error_and_the_next_call_runs_again() -> None:
    flights, going, waiting = SingleFlight[int](), threading.Event(), threading.Event()
    troubles: list[str] = []

    def ask() -> int:
        waiting.set()
        going.wait(10)
        raise RefNotFound(spec="s", ref="r")

    def visit() -> None:
        try:
            flights.run("k", ask)
        except RefNotFound as error:
            troubles.append(str(error))

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    going.set()
    for thread in threads:
        thread.join(10)
    assert troubles == [str(RefNotFound(spec="s", ref="r"))] * 4
    assert flights.run("k", lambda: 3) == 3


def test_a_wait_for_a_hanging_call_times_out() -> None:
    flights, going, waiting = SingleFlight[int](0.2), threading.Event(), threading.Event()

    def ask() -> int:
        waiting.set()
        going.wait(20)
        return 7

    with ThreadPoolExecutor(1) as first:
        answer = first.submit(flights.run, "k", ask)
        waiting.wait(10)
        late = threading.Timer(10, going.set)  # ends a wait that would never end
        late.start()
        with pytest.raises(HostUnreachable) as caught:
            flights.run("k", lambda: 1, "git.example")
        assert not going.is_set()
        assert caught.value.facts["host"] == "git.example"
        late.cancel()
        going.set()
        assert answer.result(10) == 7
    assert flights.run("k", lambda: 3) == 3


def test_an_unexpected_error_leaves_no_call_blocked() -> None:
    flights = SingleFlight[int]()
    with pytest.raises(ZeroDivisionError):
        flights.run("k", lambda: 1 // 0)
    assert flights.run("k", lambda: 3) == 3


@pytest.mark.parametrize("name", ["github.provider", "gitlab", "github.gist"])
def test_a_provider_with_an_api_does_not_load_git(name: str) -> None:
    code = f"import sys, bindery.adapters.hosts.{name}; sys.exit('dulwich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
