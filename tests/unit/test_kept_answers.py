"""The answers of hosts of records, which are kept for as long as they are valid."""

import threading
from collections.abc import Sequence

import pytest

from bindery.adapters.hosts.records.answer_cache import Answer, KeptAnswers
from bindery.domain.errors import HostUnreachable, Stale, Throttled
from bindery.ports.doi_directory import Home
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable

HOME = Home("zenodo", "10.5281/zenodo.1")


class Host:
    """A host that answers and counts its requests."""

    def __init__(self, seconds: float = 60) -> None:
        self.seconds = seconds
        self.requests = 0

    def __call__(self) -> Answer[Home]:
        self.requests += 1
        return Answer(HOME, self.seconds)


@pytest.fixture
def cache(table: DictTable, clock: FakeClock) -> KeptAnswers[Home]:
    return KeptAnswers(table, clock, "doi#doi.org", Home)


def test_an_expired_answer_is_requested_again(cache: KeptAnswers[Home], clock: FakeClock) -> None:
    host = Host()
    assert cache.known("q") is None
    for count, seconds in ((1, 0), (1, 59), (2, 1)):
        clock.advance(seconds)
        assert cache.of("q", host) == HOME
        assert host.requests == count
    assert cache.known("q") == HOME


def test_each_key_and_each_place_has_its_own_answer(
    table: DictTable, clock: FakeClock, cache: KeptAnswers[Home]
) -> None:
    cache.of("q", Host())
    assert cache.known("Q") is None
    assert KeptAnswers(table, clock, "doi#elsewhere", Home).known("q") is None


def test_an_answer_with_no_lifetime_is_not_cached(cache: KeptAnswers[Home], table: DictTable) -> None:
    cache.of("q", Host(seconds=0))
    assert table.items() == []


def test_a_key_of_any_length_can_be_cached(cache: KeptAnswers[Home]) -> None:
    cache.of("q" * 5000, Host())
    assert cache.known("q" * 5000) == HOME


def test_a_failure_is_not_cached(cache: KeptAnswers[Home]) -> None:
    def fail() -> Answer[Home]:
        raise HostUnreachable(host="h", why="it is ill")

    with pytest.raises(HostUnreachable):
        cache.of("q", fail)
    assert cache.of("q", Host()) == HOME


@pytest.mark.parametrize("trouble", [Stale(), Throttled()])
def test_an_answer_is_returned_even_if_it_cannot_be_cached(
    cache: KeptAnswers[Home], table: DictTable, trouble: Exception
) -> None:
    def before(operation: str, keys: Sequence[str]) -> None:
        if operation == "put":
            raise trouble

    table.before = before
    assert cache.of("q", Host()) == HOME


def test_an_answer_cached_by_another_version_is_requested_again(cache: KeptAnswers[Home], table: DictTable) -> None:
    cache.of("q", Host())
    (item,) = table.items()
    table.put(item.with_data({"host": "zenodo"}))
    host = Host()
    assert cache.of("q", host) == cache.of("q", host) == HOME
    assert host.requests == 1


def test_concurrent_lookups_of_one_key_send_one_request(cache: KeptAnswers[Home]) -> None:
    going, requested, answers = threading.Event(), threading.Semaphore(0), []
    host = Host(seconds=0)

    def slow() -> Answer[Home]:
        requested.release()
        going.wait(20)
        return host()

    threads = [threading.Thread(target=lambda: answers.append(cache.of("q", slow))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert requested.acquire(timeout=20)
    assert not requested.acquire(timeout=0.3), "another one asked too"
    going.set()
    for thread in threads:
        thread.join(20)
    assert answers == [HOME] * 8
    assert host.requests == 1
