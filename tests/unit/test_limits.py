"""The host that a limit applies to when an answer demands waiting."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import pytest
from dulwich.protocol import pkt_line
from pydantic import BaseModel

from bindery.adapters.clock import SystemClock
from bindery.adapters.git.protocol import GitWire
from bindery.adapters.hosts.github.api import github_api
from bindery.adapters.hosts.records.rest_api import RecordApi
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.rate_limits import LONGEST_WAIT_ELSEWHERE, MOST_LIMITS, RateLimits
from bindery.domain.errors import BinderyError, HostLimited
from tests.serving.loopback import on_this_machine
from tests.serving.site import Reply, Site, moved

LIMITED = {
    "429": Reply(429, b"", {"Retry-After": "600"}),
    "403": Reply(403, b"", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4000000000"}),
}
REDIRECTING, REDIRECTED = "asked.example", "answering.example"
URL = "https://forge.example/x"


class Anything(BaseModel):
    """An answer of an API, with any content."""


class Hosts(NamedTuple):
    """Two hosts: the first redirects every request to the second, which demands waiting. url: the first host's address."""

    first: "Redirecting"
    second: Site
    client: GuardedClient
    url: str


class Redirecting(Site):
    def answer(self, target: str) -> Reply:
        self.requests.append(target)
        return self.replies.get(target.partition("?")[0]) or moved(f"{self.to}{target}")

    to = ""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Redirecting() as first, Site() as second:
        names = {REDIRECTING: first, REDIRECTED: second}
        urls = {name: f"{name}:{site.address.rpartition(':')[2]}" for name, site in names.items()}
        first.to = f"http://{urls[REDIRECTED]}"
        yield Hosts(
            first, second, GuardedClient([*urls.values()], resolver=on_this_machine), f"http://{urls[REDIRECTING]}"
        )


def by_a_forges_api(client: GuardedClient, url: str) -> object:
    return github_api(client, SystemClock(), url, "").get("/x", "page")


def by_an_api_of_records(client: GuardedClient, url: str) -> object:
    return RecordApi(client, SystemClock()).get(Anything, f"{url}/x", "page")


def by_git(client: GuardedClient, url: str) -> object:
    with client.exchange(url):
        return GitWire(client, SystemClock()).discover(f"{url}/x")


Ask = Callable[[GuardedClient, str], object]
ASKERS = [by_a_forges_api, by_an_api_of_records, by_git]


@pytest.mark.parametrize("ask", ASKERS)
@pytest.mark.parametrize("status", LIMITED)
def test_a_rate_limit_applies_to_the_host_that_answered_not_to_the_redirecting_one(
    hosts: Hosts, ask: Ask, status: str
) -> None:
    hosts.second.replies = dict.fromkeys(("/x", "/x/info/refs"), LIMITED[status])
    with pytest.raises(HostLimited) as caught:
        ask(hosts.client, hosts.url)
    assert caught.value.facts["host"] == REDIRECTED
    now = SystemClock().now()
    hosts.client.rate_limits.check(hosts.url, now)
    with pytest.raises(HostLimited):
        hosts.client.rate_limits.check(hosts.first.to, now)


@pytest.mark.parametrize("ask", ASKERS)
@pytest.mark.parametrize("status", [429, 503])
def test_a_rate_limit_behind_a_redirect_lasts_minutes_at_most(hosts: Hosts, ask: Ask, status: int) -> None:
    """A stranger may have chosen the one page there that demands a day. Only the answered request is told of the day."""
    there = Reply(status, b"", {"Retry-After": "86400"})
    hosts.second.replies = dict.fromkeys(("/x", "/x/info/refs"), there)
    now = SystemClock().now()
    with pytest.raises(HostLimited) as caught:
        ask(hosts.client, hosts.url)
    assert float(caught.value.facts["at"]) >= now + 86400
    with pytest.raises(HostLimited):
        hosts.client.rate_limits.check(hosts.first.to, now)
    hosts.client.rate_limits.check(hosts.first.to, SystemClock().now() + LONGEST_WAIT_ELSEWHERE)


@pytest.mark.parametrize("ask", ASKERS)
def test_a_rate_limit_of_a_directly_requested_host_lasts_as_long_as_it_says(hosts: Hosts, ask: Ask) -> None:
    hosts.second.replies = dict.fromkeys(("/x", "/x/info/refs"), Reply(429, b"", {"Retry-After": "80000"}))
    with pytest.raises(HostLimited):
        ask(hosts.client, hosts.first.to)
    with pytest.raises(HostLimited):
        hosts.client.rate_limits.check(hosts.first.to, SystemClock().now() + 79000)


@pytest.mark.parametrize("ask", ASKERS)
def test_a_rate_limited_host_is_not_requested_through_a_redirect(hosts: Hosts, ask: Ask) -> None:
    hosts.client.rate_limits.record(hosts.first.to, {"Retry-After": "600"}, SystemClock().now())
    with pytest.raises(HostLimited) as caught:
        ask(hosts.client, hosts.url)
    assert caught.value.facts["host"] == REDIRECTED
    assert (len(hosts.first.requests), len(hosts.second.requests)) == (1, 0)


def test_requests_that_do_not_use_the_quota_may_follow_a_redirect_to_a_limited_host(hosts: Hosts) -> None:
    hosts.client.rate_limits.record(hosts.first.to, {"X-RateLimit-Reset": "4000000000"}, SystemClock().now())
    hosts.second.replies["/x"] = Reply(304)
    api = github_api(hosts.client, SystemClock(), hosts.url, "")
    assert api.get("/x", "page", etag='"e"').unchanged
    with pytest.raises(HostLimited):
        api.get("/x", "page")


def test_a_rate_limited_git_server_behind_a_redirect_is_not_requested(hosts: Hosts) -> None:
    """Requests go directly to the server behind the redirect once its address is known, so its limit stops them."""
    introduction = pkt_line(b"version 2\n") + pkt_line(b"fetch=filter\n") + pkt_line(None)
    headers = {"Content-Type": "application/x-git-upload-pack-advertisement"}
    hosts.second.replies["/x/info/refs"] = Reply(200, introduction, headers)
    wire = GitWire(hosts.client, SystemClock())
    with hosts.client.exchange(hosts.url):
        remote = wire.discover(f"{hosts.url}/x")
        hosts.client.rate_limits.record(hosts.first.to, {"Retry-After": "600"}, SystemClock().now())
        with pytest.raises(HostLimited):
            wire.refs(remote, ["HEAD"])
    assert len(hosts.second.requests) == 1


@pytest.mark.parametrize(
    ("status", "headers", "answer", "remembered"),
    [
        (200, {}, False, False),
        (200, {"Retry-After": "9"}, False, False),
        (200, {"RateLimit-Remaining": "0"}, False, True),
        (404, {"x-ratelimit-remaining": "0"}, False, True),
        (403, {"Retry-After": "9"}, False, False),
        (403, {"X-RateLimit-Remaining": "0"}, True, True),
        (429, {}, True, True),
    ],
)
def test_status_and_headers_decide_if_a_limit_is_raised_and_remembered(
    status: int, headers: dict[str, str], answer: bool, remembered: bool
) -> None:
    limits = RateLimits()
    assert raised(lambda: limits.record_response(URL, status, headers, 1000.0)) is answer
    assert raised(lambda: limits.check(URL, 1001.0)) is remembered


def test_the_oldest_of_too_many_remembered_limits_is_forgotten() -> None:
    limits = RateLimits()
    for number in range(MOST_LIMITS):
        limits.record(f"https://h{number}/", {"Retry-After": "600"}, 1000.0)
    limits.record("https://h1/", {"Retry-After": "600"}, 1000.0)  # a second time
    for number in range(MOST_LIMITS, MOST_LIMITS + 10):
        limits.record(f"https://h{number}/", {"Retry-After": "600"}, 1000.0)
    remembered = {n for n in range(MOST_LIMITS + 10) if raised(partial(limits.check, f"https://h{n}/", 1001.0))}
    assert set(range(MOST_LIMITS + 10)) - remembered == {0, *range(2, 11)}


def raised(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except BinderyError as error:
        return isinstance(error, HostLimited)
    return False


@pytest.mark.parametrize(
    ("other", "authorization"),
    [
        ("https://forge.example:8443/x", ""),
        ("http://forge.example/x", ""),
        ("https://other.example/x", ""),
        (URL, "Bearer a"),
        (URL, "Bearer b"),
    ],
)
def test_a_rate_limit_applies_to_one_host_port_and_credential(other: str, authorization: str) -> None:
    limits = RateLimits()
    limits.record(URL, {"Retry-After": "600"}, 1000.0)
    assert raised(lambda: limits.check(f"{URL}/more", 1001.0))
    assert not raised(lambda: limits.check(other, 1001.0, authorization))
    limits.record(URL, {"Retry-After": "600"}, 1000.0, "Bearer c")
    assert raised(lambda: limits.check(URL, 1001.0, "Bearer c"))
    assert not raised(lambda: limits.check(other, 1001.0, authorization))


def test_a_remembered_limit_contains_no_token() -> None:
    limits = RateLimits()
    limits.record(URL, {"Retry-After": "600"}, 1000.0, "Bearer secret-token")
    assert "secret" not in str(vars(limits))


def test_a_limit_of_anonymous_requests_does_not_stop_requests_with_a_token(hosts: Hosts) -> None:
    """An anonymous request to the API's host, from any provider, does not stop requests that have a token."""
    hosts.first.replies["/x"] = LIMITED["403"]
    with pytest.raises(HostLimited):
        github_api(hosts.client, SystemClock(), hosts.url, "").get("/x", "page")
    hosts.first.replies["/y"] = Reply(200, b"{}")
    assert github_api(hosts.client, SystemClock(), hosts.url, "token").get("/y", "page").body == b"{}"
    with pytest.raises(HostLimited):
        github_api(hosts.client, SystemClock(), hosts.url, "").get("/y", "page")


def test_a_limit_unrelated_to_the_quota_stops_every_request() -> None:
    limits = RateLimits()
    limits.record(URL, {"X-RateLimit-Remaining": "4876", "X-RateLimit-Reset": "4000000000"}, 1000.0)
    assert raised(lambda: limits.check(URL, 1001.0, free=True))
    assert not raised(lambda: limits.check(URL, 1061.0))
