"""Counts of ended launches. Each launch is counted once, in few writes, and first-attempt successes are counted apart."""

import pytest

from bindery.domain.errors import LauncherDown, Stale
from bindery.domain.messages import ResolveRequested
from bindery.state.counters import Counters
from bindery.usecases.steps.count_launches import MOST_CHANGES, CountLaunches
from tests.fakes.in_memory_system import Small


@pytest.fixture
def small() -> Small:
    return Small(rate_limit=100_000)


def sums(small: Small, name: str) -> dict[str, float]:
    """Return the counter's sums by the value of the first label."""
    by_labels = small.system.state.counters.read().get(name, {})
    return {labels[0][1]: value for labels, value in by_labels.items()}


def tally(small: Small) -> CountLaunches:
    return small.system.reconcile.tally


def test_each_launch_is_counted_once_by_repeated_timers(small: Small) -> None:
    small.ready()
    small.system.stop_launch(small.open().id)
    small.ready()
    for _ in range(3):
        tally(small)()
    assert small.system.state.counters.read()["binderhub_launch_count"] == {
        (("provider", "gh"), ("repo", "other"), ("status", "failure")): 1,
    }
    assert small.system.popular.today().sums()["binderhub_launch_count"] == {
        (("provider", "gh"), ("repo", "https://host.example/o/r"), ("status", "success")): 2,
    }
    assert sums(small, "bindery_launches_ready") == {"first": 2}
    assert list(small.system.state.launches.uncounted()) == []


def test_a_running_launch_is_not_counted(small: Small) -> None:
    small.open()
    tally(small)()
    assert small.system.state.counters.read() == {}


def test_two_concurrent_sweeps_count_each_launch_once(small: Small) -> None:
    small.ready()
    rivals = [True]

    def rival(operation: str, keys: object) -> None:
        if operation == "transact" and rivals.pop():
            rivals.append(False)
            tally(small)()

    small.table.before = rival
    tally(small)()
    small.table.before = lambda operation, keys: None
    assert sums(small, "bindery_launches_ready") == {"first": 1}


def test_an_interrupted_sweep_counts_no_launch_twice(small: Small) -> None:
    for _ in range(3):
        small.ready()

    def cut(operation: str, keys: object) -> None:
        if operation == "transact":
            raise Stale

    small.table.before = cut
    tally(small)()
    small.table.before = lambda operation, keys: None
    assert sums(small, "bindery_launches_ready") == {}
    tally(small)()
    assert sums(small, "bindery_launches_ready") == {"first": 3}


def test_many_launches_are_counted_in_few_writes(small: Small) -> None:
    for _ in range(250):
        small.system.stop_launch(small.open().id)
    transactions: list[int] = []
    small.table.before = lambda operation, keys: transactions.append(len(keys)) if operation == "transact" else None
    tally(small)()
    assert len(transactions) == 3
    assert max(transactions) <= MOST_CHANGES
    assert sums(small, "binderhub_launch_count") == {"gh": 250}


def test_a_launch_with_a_retry_does_not_count_as_first_attempt(small: Small) -> None:
    troubles = [LauncherDown(why="the cluster does not answer")]

    def trouble(operation: str, session: str) -> None:
        if operation == "start" and troubles:
            raise troubles.pop()

    small.launcher.before = trouble
    small.ready()
    small.ready()
    tally(small)()
    assert sums(small, "bindery_launches_ready") == {"first": 1, "later": 1}


def test_a_launch_with_a_redelivered_message_does_not_count_as_first_attempt(small: Small) -> None:
    launch = small.open()
    small.take()
    small.system.resolve_repository(ResolveRequested(launch=launch.id, step=0), 2)
    small.build()
    tally(small)()
    assert sums(small, "bindery_launches_ready") == {"later": 1}


def test_a_launch_with_a_message_resent_by_a_timer_does_not_count_as_first_attempt(small: Small) -> None:
    small.open()
    small.take()
    small.clock.advance(61)
    small.system.reconcile()
    small.build()
    tally(small)()
    assert sums(small, "bindery_launches_ready") == {"later": 1}


def test_a_launch_that_waited_long_for_its_build_counts_as_first_attempt(small: Small) -> None:
    small.open()
    small.pump()
    for _ in range(5):
        small.clock.advance(61)
        small.system.reconcile()
        small.pump()
    small.build()
    tally(small)()
    assert sums(small, "bindery_launches_ready") == {"first": 1}


def test_the_counts_of_a_transaction_are_added_to_existing_ones(small: Small) -> None:
    counters: Counters = small.system.state.counters
    small.table.transact(counters.with_more({"a": 1, "b": 2}))
    small.table.transact(counters.with_more({"a": 5}))
    assert {name: sum(by_labels.values()) for name, by_labels in counters.read().items()} == {"a": 6, "b": 2}
