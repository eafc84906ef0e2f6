"""The limits of one client, and the name under which a client is stored."""

from dataclasses import replace

import pytest

from bindery.domain.clients import SHORTEST_EPOCH, Clients, network_of
from bindery.domain.errors import BadSpec, RateLimited, TooManySessions, TooManyStreams
from bindery.domain.launch import Launch, Stage
from bindery.state.client_shares import ClientLimits, ClientShares
from tests.fakes.clock import FakeClock
from tests.fakes.in_memory_system import REQUEST, InMemorySystem
from tests.fakes.table import DictTable

ONE, TWO, OWN_MACHINE = "203.0.113.1", "203.0.113.2", "127.0.0.1"


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock(seed=5)
    clock.time = 20_000 * SHORTEST_EPOCH + 40_000.0
    return clock


def shares_of(table: DictTable, clock: FakeClock, *, pages: int | None = 3, streams: int | None = 2) -> ClientShares:
    limits = ClientLimits(10, 3600, page_launches=pages, streams=streams)
    return ClientShares(table, clock, Clients("a secret of the tests", 3600), limits)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network_of_64_bits(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_key_of_a_client_depends_on_the_secret_and_the_epoch() -> None:
    at = 20_000.0 * SHORTEST_EPOCH
    clients = Clients("one secret", 3600)
    today, tomorrow = clients.keys(ONE, at), clients.keys(ONE, at + SHORTEST_EPOCH)
    assert today.now != Clients("other secret", 3600).keys(ONE, at).now
    assert today.now != tomorrow.now
    assert tomorrow.before == today.now
    assert clients.keys(ONE, at + 3600).before == ""


def test_an_epoch_is_longer_than_the_longest_window() -> None:
    clients = Clients("one secret", 10 * SHORTEST_EPOCH)
    first, later = (clients.keys(ONE, at * SHORTEST_EPOCH) for at in (100.0, 109.0))
    assert first.now == later.now


def test_key_without_a_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="BINDERY_SECRET"):
        Clients("", 3600).keys(ONE, 0)


def test_launches_from_pages_have_their_own_limit(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock)
    for _ in range(3):
        assert shares.take(ONE, page=True) is None
    with pytest.raises(RateLimited) as caught:
        shares.take(ONE, page=True)
    assert caught.value.facts == {"limit": 3, "seconds": 3601}
    shares.take(TWO, page=True)
    clock.advance(3601)
    shares.take(ONE, page=True)


def test_launches_without_a_token_count_for_both_limits(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock)
    for _ in range(3):
        shares.take(ONE)
    with pytest.raises(RateLimited):
        shares.take(ONE, page=True)


def test_addresses_of_one_ipv6_network_of_64_bits_share_a_limit(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock)
    for n in range(3):
        shares.take(f"2001:db8::{n}", page=True)
    with pytest.raises(RateLimited):
        shares.take("2001:db8::ffff", page=True)


def test_a_window_continues_when_the_key_of_the_client_changes(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock)
    clock.time = 20_001 * SHORTEST_EPOCH - 10.0
    for _ in range(3):
        shares.take(ONE, page=True)
    clock.advance(20)
    with pytest.raises(RateLimited):
        shares.take(ONE, page=True)


def test_streams_count_until_they_are_closed_or_their_lease_ends(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock, pages=None)
    shares.resume(ONE, "a")
    shares.resume(ONE, "b")
    with pytest.raises(TooManyStreams):
        shares.resume(ONE, "c")
    shares.close(ONE, "a")
    shares.resume(ONE, "c")
    clock.advance(901)
    shares.resume(ONE, "d")
    shares.resume(ONE, "e")


def test_a_stream_closed_after_a_key_change_frees_its_place(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock)
    clock.time = 20_001 * SHORTEST_EPOCH - 10.0
    shares.resume(ONE, "a")
    shares.resume(ONE, "b")
    clock.advance(20)
    shares.close(ONE, "a")
    shares.resume(ONE, "c")


def test_clients_of_this_machine_have_no_limits(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock)
    for address in ("127.0.0.1", "127.8.8.8", "::1"):
        for n in range(20):
            shares.take(address, page=True, stream=str(n))
    assert table.items() == []


def test_a_new_launch_with_its_stream_uses_one_read_and_one_write(table: DictTable, clock: FakeClock) -> None:
    shares = shares_of(table, clock)
    operations: list[str] = []
    table.before = lambda operation, keys: operations.append(operation)
    shares.take(ONE, page=True, stream="a")
    assert operations == ["get", "put"]


def test_the_item_of_a_client_expires_with_its_longest_count(table: DictTable, clock: FakeClock) -> None:
    shares_of(table, clock).take(ONE, page=True, stream="a")
    (item,) = table.items()
    assert item.expires_at == clock.now() + 3600


def system_with(**settings: object) -> InMemorySystem:
    return InMemorySystem(**{"rate_limit": 1000, **settings})  # type: ignore[arg-type]  # settings of any kind


def come(
    service: InMemorySystem, client: str, spec: str = "o/r/HEAD", *, streams: bool = False, page: bool = True
) -> Launch:
    token = service.token(spec) if page else ""
    return service.bindery.open_launch(
        replace(REQUEST, client=client, spec=spec, build_token=token, streams=streams)
    ).launch


def test_a_page_token_does_not_bypass_the_limits() -> None:
    service = system_with(page_rate_limit=2)
    come(service, ONE)
    come(service, ONE)
    with pytest.raises(RateLimited):
        come(service, ONE)


def test_a_reload_of_a_page_is_not_counted() -> None:
    service, request = system_with(page_rate_limit=1), replace(REQUEST, client=ONE)
    request = replace(request, build_token=service.token())
    first = service.bindery.open_launch(request).launch
    assert service.bindery.open_launch(request).launch.id == first.id


def test_no_client_address_is_stored() -> None:
    service = system_with(page_rate_limit=60, client_sessions=3, client_streams=3, client_builds=1, client_line=1)
    for client in (ONE, "2001:db8:1:2:3:4:5:6"):
        come(service, client, streams=True)
        come(service, client, page=False)
    service.build()
    text = str(service.table.items())
    assert ONE not in text
    assert "2001:db8:1:2" not in text


def test_the_sessions_of_a_client_are_limited() -> None:
    service = system_with(client_sessions=1)
    first = come(service, ONE)
    service.build()
    with pytest.raises(TooManySessions) as caught:
        come(service, ONE)
    assert caught.value.facts == {"limit": 1}
    come(service, TWO)
    come(service, OWN_MACHINE)
    service.bindery.stop_launch(first.id)
    service.pump()
    come(service, ONE)


def test_concurrent_launches_cannot_exceed_the_session_limit() -> None:
    service = system_with(client_sessions=1)
    launches = [come(service, ONE) for _ in range(3)]
    service.build()
    stages = [service.launch(launch).stage for launch in launches]
    assert sorted(stages) == [Stage.FAILED, Stage.FAILED, Stage.READY]


def test_sessions_of_the_previous_epoch_count() -> None:
    service = system_with(client_sessions=1)
    service.clock.time = 20_001 * SHORTEST_EPOCH - 10.0
    come(service, ONE)
    service.build()
    service.clock.advance(20)
    with pytest.raises(TooManySessions):
        come(service, ONE)


def test_a_build_only_launch_needs_no_session_place() -> None:
    service = system_with(client_sessions=1)
    come(service, ONE)
    service.build()
    service.bindery.open_launch(replace(REQUEST, client=ONE, build_only=True))


def test_the_sessions_of_an_owner_are_limited_over_all_its_repositories() -> None:
    service = system_with(quota_per_owner=1)
    service.host.heads["o/other"] = service.host.heads["o/r"]
    come(service, ONE)
    service.build()
    refused = come(service, TWO, "o/other/HEAD")
    service.pump()
    failure = service.launch(refused).failure
    assert failure
    assert (failure.kind, failure.facts["limit"]) == ("OwnerQuotaReached", 1)


def test_a_refused_stream_creates_no_launch() -> None:
    service = system_with(client_streams=1)
    come(service, ONE, streams=True)
    before = len(service.table.items())
    with pytest.raises(TooManyStreams):
        come(service, ONE, streams=True)
    assert len(service.table.items()) == before


def test_a_refused_link_uses_no_stream_place(monkeypatch: pytest.MonkeyPatch) -> None:
    service = system_with(client_streams=1)

    def refuse(spec: str) -> str:
        raise BadSpec(spec=spec, why="no")

    with monkeypatch.context() as broken:
        broken.setattr(service.host, "check", refuse)
        with pytest.raises(BadSpec):
            come(service, ONE, streams=True)
    come(service, ONE, streams=True)
