"""Rates, counters and logs. Each event is counted once, and no count is lost in a conflict."""

from collections.abc import Callable

import pytest

from bindery.domain.clients import Clients
from bindery.domain.errors import RateLimited, Throttled
from bindery.domain.messages import LogLine
from bindery.state.build_logs import BuildLogs
from bindery.state.client_shares import ClientLimits, ClientShares
from bindery.state.counters import Counters
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable


def once(action: Callable[[], object], at: str) -> Callable[[str, object], None]:
    """Return a hook that makes this call before the first operation with the name `at`."""
    done = False

    def hook(operation: str, keys: object) -> None:
        nonlocal done
        if operation == at and not done:
            done = True
            action()

    return hook


def rates_of(table: DictTable, clock: FakeClock, limit: int, seconds: int) -> ClientShares:
    return ClientShares(table, clock, Clients("a secret of the tests", seconds), ClientLimits(limit, seconds))


def test_launches_of_a_client_are_limited(table: DictTable, clock: FakeClock) -> None:
    rates = rates_of(table, clock, 3, 3600)
    assert [rates.count("203.0.113.1").remaining for _ in range(3)] == [2, 1, 0]
    clock.advance(100)
    with pytest.raises(RateLimited) as caught:
        rates.count("203.0.113.1")
    assert caught.value.facts == {"limit": 3, "seconds": 3501}
    assert rates.count("203.0.113.2").remaining == 2


def test_a_new_window_begins_when_the_old_one_ends(table: DictTable, clock: FakeClock) -> None:
    rates = rates_of(table, clock, 1, 60)
    first = rates.count("203.0.113.1")
    clock.advance(60)
    again = rates.count("203.0.113.1")
    assert (again.remaining, again.reset) == (0, first.reset + 60)


def test_two_concurrent_launches_are_both_counted(table: DictTable, clock: FakeClock) -> None:
    rates = rates_of(table, clock, 2, 60)
    table.before = once(lambda: rates.count("203.0.113.1"), "put")
    assert rates.count("203.0.113.1").remaining == 0
    with pytest.raises(RateLimited):
        rates.count("203.0.113.1")


def test_client_addresses_are_not_stored(table: DictTable, clock: FakeClock) -> None:
    rates_of(table, clock, 2, 60).count("203.0.113.1")
    assert "203.0.113.1" not in str(table.items())


def test_counters_are_summed_by_name_and_labels(table: DictTable, clock: FakeClock) -> None:
    counters = Counters(table, clock)
    for _ in range(40):
        counters.add("launches", status="success", repo="https://host.example/a=b")
    counters.add("launches", 2, status="failure", repo="x")
    assert counters.read() == {
        "launches": {
            (("repo", "https://host.example/a=b"), ("status", "success")): 40,
            (("repo", "x"), ("status", "failure")): 2,
        }
    }


def test_concurrent_counting_loses_no_count(table: DictTable, clock: FakeClock) -> None:
    counters = Counters(table, clock)
    for _ in range(20):
        table.before = once(lambda: counters.add("launches"), "put")
        counters.add("launches")
    table.before = lambda operation, keys: None
    assert counters.read()["launches"][()] == 40


def test_an_error_of_the_table_does_not_fail_the_counted_operation(table: DictTable, clock: FakeClock) -> None:
    counters = Counters(table, clock)

    def busy(operation: str, keys: object) -> None:
        raise Throttled

    table.before = busy
    counters.add("launches")
    table.before = lambda operation, keys: None
    assert counters.read() == {}


def test_a_very_long_label_is_counted(table: DictTable, clock: FakeClock) -> None:
    counters = Counters(table, clock)
    counters.add("launches", repo="https://host.example/" + "é" * 2000)
    assert sum(counters.read()["launches"].values()) == 1


def test_an_observation_is_counted_in_its_bucket(table: DictTable, clock: FakeClock) -> None:
    counters = Counters(table, clock)
    for seconds in (0.5, 1, 1.5, 99):
        counters.observe("seconds", seconds, (1, 2))
    sums = counters.read()
    assert {dict(labels)["le"]: n for labels, n in sums["seconds_bucket"].items()} == {"1": 2, "2": 1, "+Inf": 1}
    assert sums["seconds_sum"][()] == 102


@pytest.mark.parametrize("lines", [0, 1, 99, 100, 101, 5000])
@pytest.mark.parametrize("chunk", [1, 30, 500])
def test_the_last_100_lines_of_a_log_are_found_in_a_few_reads(
    table: DictTable, clock: FakeClock, lines: int, chunk: int
) -> None:
    logs = BuildLogs(table, clock)
    for first in range(0, lines, chunk):
        numbers = range(first, min(first + chunk, lines))
        logs.append("key", 1, tuple(LogLine(number=n, phase="building", message="x\n") for n in numbers))
    reads: list[str] = []
    table.before = lambda operation, keys: reads.append(operation)
    assert logs.tail_start("key", 1) == max(0, lines - 100) - 1
    assert len(reads) <= 21


def test_a_log_is_read_page_by_page_to_its_end(table: DictTable, clock: FakeClock) -> None:
    logs = BuildLogs(table, clock)
    for number in range(250):
        logs.append("key", 1, (LogLine(number=number, phase="building", message="x\n"),))
    read, after = [], -1
    while page := logs.read("key", 1, after):
        read += [line.number for line in page]
        after = read[-1]
    assert read == list(range(250))
    assert logs.read("key", 2, -1) == []
