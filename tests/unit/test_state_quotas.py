"""Quotas: sessions take no more places than exist, all places can be used, and each place is returned once."""

from itertools import count

import pytest

from bindery.domain.access_policy import Limits
from bindery.domain.errors import QuotaReached, RepositoryQuotaReached, SessionEnded
from bindery.domain.launch import Launch
from bindery.state.quotas import ROOM, TOTAL, TRIES, Quotas
from bindery.state.sessions import Sessions
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable

ANY = Limits()


@pytest.fixture
def sessions(table: DictTable) -> Sessions:
    clock = FakeClock(seed=3)
    return Sessions(table, clock, Quotas(table, clock))


NUMBERS = count()


def launch(repo_url: str = "https://host.example/o/r") -> Launch:
    return Launch(
        id=f"launch{next(NUMBERS)}",
        provider="gh",
        spec="o/r/HEAD",
        repo_url=repo_url,
        owner="somebody",
        launch_host="https://bindery.example/",
        created_at=0,
        deadline=1200,
    )


def full(sessions: Sessions, limits: Limits) -> list[str]:
    """Reserve sessions until no place is left; return their ids."""
    taken = []
    for _ in range(100):
        try:
            taken.append(sessions.reserve(launch(), limits).id)
        except (QuotaReached, RepositoryQuotaReached):
            break
    return taken


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 9, 17, 64, 99])
def test_exactly_the_limit_of_sessions_can_be_reserved(sessions: Sessions, limit: int) -> None:
    assert len(full(sessions, Limits(total=limit))) == limit
    assert sessions.quotas.taken() == limit


@pytest.mark.parametrize("limit", [1, 2, 17])
def test_exactly_the_limit_of_sessions_of_one_repository_can_be_reserved(sessions: Sessions, limit: int) -> None:
    limits = Limits(total=60, per_repository=limit)
    assert len(full(sessions, limits)) == limit
    with pytest.raises(RepositoryQuotaReached) as caught:
        sessions.reserve(launch(), limits)
    assert caught.value.facts == {"limit": limit, "url": "https://host.example/o/r"}
    assert sessions.reserve(launch("https://host.example/o/other"), limits)


def test_without_a_limit_reservations_use_most_counters(sessions: Sessions, table: DictTable) -> None:
    assert len(full(sessions, ANY)) == 100
    assert len(table.query(TOTAL)) > 80


def test_reservations_are_spread_over_the_counters(sessions: Sessions, table: DictTable) -> None:
    taken = full(sessions, Limits(total=90))
    counters = table.query(TOTAL)
    assert sum(item.data["taken"] for item in counters) == len(taken) == 90
    assert max(item.data["taken"] for item in counters) <= ROOM


def test_a_full_instance_is_detected_in_a_few_reads(sessions: Sessions, table: DictTable) -> None:
    full(sessions, Limits(total=99))
    reads: list[str] = []
    table.before = lambda operation, keys: reads.append(operation)
    with pytest.raises(QuotaReached):
        sessions.quotas.check("https://host.example/o/r", Limits(total=99))
    assert len(reads) <= TRIES + 2


def test_an_unused_counter_expires_after_one_day(sessions: Sessions, table: DictTable) -> None:
    (session,) = full(sessions, Limits(total=1))
    assert {item.expires_at for item in sessions.quotas.counters()} == {None}
    sessions.mark_ended(session)
    assert {item.expires_at for item in sessions.quotas.counters()} == {sessions.clock.now() + 86400}


def test_a_limit_of_zero_allows_no_session(sessions: Sessions) -> None:
    assert full(sessions, Limits(total=0)) == []


def test_a_full_instance_is_reported_before_a_full_repository(sessions: Sessions) -> None:
    limits = Limits(total=1, per_repository=1)
    sessions.reserve(launch(), limits)
    with pytest.raises(QuotaReached):
        sessions.reserve(launch(), limits)


@pytest.mark.parametrize("limit", [1, 2, 17])
def test_a_place_is_returned_once_when_its_session_ends(sessions: Sessions, limit: int) -> None:
    limits = Limits(total=limit, per_repository=limit)
    for _ in range(3):
        taken = full(sessions, limits)
        assert len(taken) == limit
        for session in taken:
            sessions.mark_ended(session)
            sessions.mark_ended(session)
        assert sessions.quotas.taken() == 0


def test_a_repeated_reservation_gets_one_place(sessions: Sessions) -> None:
    visitor = launch()
    assert sessions.reserve(visitor, Limits(total=1)) == sessions.reserve(visitor, Limits(total=1))
    assert sessions.quotas.taken() == 1


@pytest.mark.parametrize("limit", [1, 2, 17])
def test_concurrent_reservations_never_exceed_the_limit(sessions: Sessions, table: DictTable, limit: int) -> None:
    """Before each transaction a rival takes a place, as long as there is room."""
    limits, inside = Limits(total=limit), False
    got = 0

    def rival(operation: str, keys: object) -> None:
        nonlocal inside, got
        if operation != "transact" or inside:
            return
        inside = True
        try:
            sessions.reserve(launch(), limits)
            got += 1
        except QuotaReached:
            pass
        inside = False

    table.before = rival
    for _ in range(limit + 3):
        try:
            sessions.reserve(launch(), limits)
            got += 1
        except QuotaReached:
            pass
    table.before = lambda operation, keys: None
    assert got == limit == sessions.quotas.taken()


def test_a_check_for_a_free_place_reserves_none(sessions: Sessions) -> None:
    for _ in range(5):
        sessions.quotas.check("https://host.example/o/r", Limits(total=1, per_repository=1))
    assert sessions.quotas.taken() == 0
    full(sessions, Limits(total=1))
    with pytest.raises(QuotaReached):
        sessions.quotas.check("https://host.example/o/r", Limits(total=1))


def test_an_ended_session_cannot_be_reserved_again(sessions: Sessions) -> None:
    visitor = launch()
    sessions.reserve(visitor, ANY)
    sessions.mark_stopping(visitor.id, "for a test")
    sessions.mark_ended(visitor.id)
    with pytest.raises(SessionEnded) as caught:
        sessions.reserve(visitor, ANY)
    assert caught.value.facts == {"reason": "for a test"}
