"""The shares of slow hosts: groups of hosts take turns, and all requests of one step have one deadline."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from bindery.adapters.http.budget import AddressInfo
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.host_limits import AT_ONCE, GROUP_WAITING, STRANGERS_AT_ONCE, group_of
from bindery.domain.errors import HostTooSlow, HostUnreachable
from bindery.domain.launch import Stage
from bindery.ports.deadline import within
from bindery.ports.repository_provider import Resolved
from bindery.usecases import resolve_repository
from bindery.usecases.resolve_repository import HOST_SECONDS
from bindery_local.template import load
from bindery_local.workers import AT_ONCE as WORKERS
from tests.fakes.in_memory_system import InMemorySystem
from tests.serving.scripted import ScriptedServer, answer


@pytest.fixture
def client() -> GuardedClient:
    return GuardedClient(known_hosts=["api.forge.example"], turn_seconds=0.1, quiet_seconds=0.1)


def held(client: GuardedClient, *urls: str) -> ExitStack:
    """Hold requests under way at these addresses."""
    with ExitStack() as stack:
        for url in urls:
            stack.enter_context(client.exchange(url))
        return stack.pop_all()


@pytest.mark.parametrize(
    "names",
    [
        [f"https://a{number}.evil.example/" for number in range(AT_ONCE + 1)],
        [f"https://a.b{number}.evil.example:{8000 + number}/" for number in range(AT_ONCE + 1)],
        [f"https://a{number}.evil.co.uk/" for number in range(AT_ONCE + 1)],
        [f"http://8.8.8.{number}/" for number in range(AT_ONCE + 1)],
        [f"http://[2001:4860:4860:{number}::8888]/" for number in range(AT_ONCE + 1)],
    ],
)
def test_names_of_one_group_share_its_turns(client: GuardedClient, names: Sequence[str]) -> None:
    with (
        held(client, *names[:-1]),
        pytest.raises(HostUnreachable, match="too many requests"),
        client.exchange(names[-1]),
    ):
        pass


def test_unconfigured_hosts_leave_turns_to_configured_ones(client: GuardedClient) -> None:
    strangers = [f"https://git.evil{number}.example/" for number in range(STRANGERS_AT_ONCE)]
    with held(client, *strangers):
        with pytest.raises(HostUnreachable, match="too many requests"), client.exchange("https://git.more.example/"):
            pass
        for url in ["https://api.forge.example/"] * AT_ONCE:
            held(client, url)


def test_half_of_the_local_workers_remain_for_configured_hosts() -> None:
    assert WORKERS["resolve"] // 2 >= STRANGERS_AT_ONCE
    assert WORKERS["resolve"] // 2 > AT_ONCE + GROUP_WAITING


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("a.b.evil.example", "evil.example"),
        ("evil.example", "evil.example"),
        ("git.cam.ac.uk", "cam.ac.uk"),
        ("ac.uk", "ac.uk"),
        ("git.uni.de", "uni.de"),
        ("localhost", "localhost"),
        ("8.8.8.8", "8.8.8.0/24"),
        ("2001:4860:4860::8888", "2001:4860:4860::/48"),
    ],
)
def test_a_group_is_a_registered_domain_or_a_network(host: str, group: str) -> None:
    assert group_of(host) == group


@pytest.fixture
def slow() -> Iterator[ScriptedServer]:
    """Start a server that takes a while for each answer."""
    pause = threading.Event()

    def script(_: bytes) -> Iterator[bytes]:
        pause.wait(0.2)
        yield answer(b"x")

    with ScriptedServer(script) as server:
        yield server


def test_several_requests_share_one_deadline(slow: ScriptedServer) -> None:
    client = GuardedClient([slow.address])
    with pytest.raises(HostTooSlow), within(1):
        for _ in range(20):
            assert client.get(f"{slow.url}/").body == b"x"
    client.close()
    assert 1 <= len(slow.requests) <= 6


def test_a_failure_before_the_deadline_keeps_its_error() -> None:
    with pytest.raises(HostUnreachable), within(60):
        raise HostUnreachable(host="h", why="no answer")


def test_a_slow_name_lookup_times_out() -> None:
    finished = threading.Event()

    def silent(host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
        finished.wait(60)
        return []

    with pytest.raises(HostUnreachable, match="looked up in time"):
        GuardedClient(resolver=silent, connect_seconds=0.1).get("https://forge.example/")
    finished.set()


def test_a_launch_whose_host_used_the_whole_time_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    system = InMemorySystem()
    launch = system.open()

    def slow_host(_: str) -> Resolved:
        raise HostUnreachable(host="slow.example", why="no answer in time")

    monkeypatch.setattr(system.host, "resolve", slow_host)
    monkeypatch.setattr(resolve_repository, "HOST_SECONDS", (0.0,))
    system.handle(system.queue.pop())
    failed = system.launch(launch)
    assert failed.failure is not None
    assert (failed.stage, failed.failure.kind) == (Stage.FAILED, "HostTooSlow")


def test_the_time_limits_of_a_resolve_fit_the_timeout_of_its_function() -> None:
    timeout = load(Path(__file__).parents[2] / "template.yaml")["Resources"]["ResolveRepository"]["Properties"][
        "Timeout"
    ]
    assert sum(HOST_SECONDS) <= timeout - 10
