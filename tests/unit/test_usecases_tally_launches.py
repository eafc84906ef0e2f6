"""Counts of ended launches. Each launch is counted once, in few writes, and first-attempt successes are counted apart."""

import pytest

from bindery.domain.errors import LauncherDown, Stale
from bindery.domain.messages import ResolveRequested
from bindery.state.counters import Counters
from bindery.usecases.steps.count_launches import MOST_CHANGES, CountLaunches
from tests.fakes.in_memory_system import InMemorySystem


@pytest.fixture
def system() -> InMemorySystem:
    return InMemorySystem(rate_limit=100_000)


def sums(system: InMemorySystem, name: str) -> dict[str, float]:
    """Return the counter's sums by the value of the first label."""
    by_labels = system.bindery.state.counters.read().get(name, {})
    return {labels[0][1]: value for labels, value in by_labels.items()}


def tally(system: InMemorySystem) -> CountLaunches:
    return system.bindery.reconcile.tally


def test_each_launch_is_counted_once_by_repeated_timers(system: InMemorySystem) -> None:
    system.ready()
    system.bindery.stop_launch(system.open().id)
    system.ready()
    for _ in range(3):
        tally(system)()
    assert system.bindery.state.counters.read()["binderhub_launch_count"] == {
        (("provider", "gh"), ("repo", "other"), ("status", "failure")): 1,
    }
    assert system.bindery.popular.today().sums()["binderhub_launch_count"] == {
        (("provider", "gh"), ("repo", "https://host.example/o/r"), ("status", "success")): 2,
    }
    assert sums(system, "bindery_launches_ready") == {"first": 2}
    assert list(system.bindery.state.launches.uncounted()) == []


def test_a_running_launch_is_not_counted(system: InMemorySystem) -> None:
    system.open()
    tally(system)()
    assert system.bindery.state.counters.read() == {}


def test_two_concurrent_sweeps_count_each_launch_once(system: InMemorySystem) -> None:
    system.ready()
    rivals = [True]

    def rival(operation: str, keys: object) -> None:
        if operation == "transact" and rivals.pop():
            rivals.append(False)
            tally(system)()

    system.table.before = rival
    tally(system)()
    system.table.before = lambda operation, keys: None
    assert sums(system, "bindery_launches_ready") == {"first": 1}


def test_an_interrupted_sweep_counts_no_launch_twice(system: InMemorySystem) -> None:
    for _ in range(3):
        system.ready()

    def cut(operation: str, keys: object) -> None:
        if operation == "transact":
            raise Stale

    system.table.before = cut
    tally(system)()
    system.table.before = lambda operation, keys: None
    assert sums(system, "bindery_launches_ready") == {}
    tally(system)()
    assert sums(system, "bindery_launches_ready") == {"first": 3}


def test_many_launches_are_counted_in_few_writes(system: InMemorySystem) -> None:
    for _ in range(250):
        system.bindery.stop_launch(system.open().id)
    transactions: list[int] = []
    system.table.before = lambda operation, keys: transactions.append(len(keys)) if operation == "transact" else None
    tally(system)()
    assert len(transactions) == 3
    assert max(transactions) <= MOST_CHANGES
    assert sums(system, "binderhub_launch_count") == {"gh": 250}


def test_a_launch_with_a_retry_does_not_count_as_first_attempt(system: InMemorySystem) -> None:
    troubles = [LauncherDown(why="the cluster does not answer")]

    def trouble(operation: str, session: str) -> None:
        if operation == "start" and troubles:
            raise troubles.pop()

    system.launcher.before = trouble
    system.ready()
    system.ready()
    tally(system)()
    assert sums(system, "bindery_launches_ready") == {"first": 1, "later": 1}


def test_a_launch_with_a_redelivered_message_does_not_count_as_first_attempt(system: InMemorySystem) -> None:
    launch = system.open()
    system.take()
    system.bindery.resolve_repository(ResolveRequested(launch=launch.id, step=0), 2)
    system.build()
    tally(system)()
    assert sums(system, "bindery_launches_ready") == {"later": 1}


def test_a_launch_with_a_message_resent_by_a_timer_does_not_count_as_first_attempt(system: InMemorySystem) -> None:
    system.open()
    system.take()
    system.clock.advance(61)
    system.bindery.reconcile()
    system.build()
    tally(system)()
    assert sums(system, "bindery_launches_ready") == {"later": 1}


def test_a_launch_that_waited_long_for_its_build_counts_as_first_attempt(system: InMemorySystem) -> None:
    system.open()
    system.pump()
    for _ in range(5):
        system.clock.advance(61)
        system.bindery.reconcile()
        system.pump()
    system.build()
    tally(system)()
    assert sums(system, "bindery_launches_ready") == {"first": 1}


def test_the_counts_of_a_transaction_are_added_to_existing_ones(system: InMemorySystem) -> None:
    counters: Counters = system.bindery.state.counters
    system.table.transact(counters.with_more({"a": 1, "b": 2}))
    system.table.transact(counters.with_more({"a": 5}))
    assert {name: sum(by_labels.values()) for name, by_labels in counters.read().items()} == {"a": 6, "b": 2}
