"""Sweeps over thousands of sessions. Each session gets its turn, and a sweep's cost grows no faster than their number."""

from collections import Counter
from collections.abc import Sequence

import pytest

from bindery.domain.messages import StopRequested
from bindery.domain.sessions import Session
from bindery.state.sessions import ReadSession
from bindery.usecases import cull_sessions
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.many import order_of, record_of
from tests.fakes.sessions import Running

FEW, MANY = 500, 2000


def world(count: int) -> InMemorySystem:
    """Return a system with this number of sessions, all running and due."""
    system = InMemorySystem(max_age_seconds=0)
    now = system.clock.now()
    for number in range(count):
        name = f"s{number:05}"
        system.table.put(record_of(name, f"http://{name}.sessions.example/", now))
        system.launcher.running[name] = Running(order_of(name), started=now - 3600, looks=0, last=now)
    return system


def counted(system: InMemorySystem) -> tuple[Counter[str], Counter[str]]:
    """Count the calls of the table and of the cluster from now on, by operation."""
    table, cluster = Counter[str](), Counter[str]()

    def of_table(operation: str, keys: Sequence[str]) -> None:
        table[operation] += 1

    def of_cluster(operation: str, session: str) -> None:
        cluster[operation] += 1

    system.table.before, system.launcher.before = of_table, of_cluster
    return table, cluster


def due(system: InMemorySystem) -> list[ReadSession]:
    return system.bindery.state.sessions.due()


def test_one_sweep_checks_all_due_sessions_at_linear_cost() -> None:
    costs = []
    for count in (FEW, MANY):
        system = world(count)
        table, cluster = counted(system)
        system.bindery.cull_sessions()
        assert due(system) == []
        assert cluster == {"activity": 1}
        assert (table["due"], table["transact"], table["get"], table["put"]) == (8, count // 100, 0, 0)
        costs.append(table.total())
    assert costs[1] <= costs[0] * MANY / FEW


def test_reconcile_reads_no_healthy_session() -> None:
    costs = []
    for count in (FEW, MANY):
        system = world(count)
        table, cluster = counted(system)
        system.bindery.reconcile()
        assert cluster == {"list": 1}
        assert table["get"] == 0
        costs.append(table.total())
    assert costs[0] == costs[1]


def test_reconcile_reads_unhealthy_sessions() -> None:
    system = world(FEW)
    for name in ("s00001", "s00002", "s00003"):
        system.launcher.die(name)
    table, _ = counted(system)
    system.clock.advance(100)
    system.bindery.reconcile()
    assert table["get"] == 3
    assert {sent.message.session for sent in system.take() if isinstance(sent.message, StopRequested)} == {
        "s00001",
        "s00002",
        "s00003",
    }


def test_sessions_not_queried_in_time_are_queried_first_in_the_next_sweep(caplog: pytest.LogCaptureFixture) -> None:
    system = world(FEW)
    system.launcher.pace = 200 / cull_sessions.ACTIVITY_SECONDS
    system.bindery.cull_sessions()
    assert len(due(system)) == 300
    assert "300 of 500 sessions were not asked" in caplog.text
    system.clock.advance(10)
    system.bindery.cull_sessions()
    system.clock.advance(10)
    system.bindery.cull_sessions()
    assert due(system) == []


def test_a_session_not_queried_is_not_silent_but_can_exceed_its_age() -> None:
    system = world(FEW)
    system.launcher.pace = 0
    system.bindery.cull_sessions()
    assert system.take() == []
    old = InMemorySystem(max_age_seconds=1800)
    old.table.put(record_of("s00000", "http://s00000.sessions.example/", old.clock.now()))
    old.launcher.pace = 0
    old.bindery.cull_sessions()
    assert len(old.take()) == 1


@pytest.mark.parametrize(("silent", "counts"), [(50, True), (51, False)])
def test_the_whole_sweep_decides_if_silence_counts(silent: int, counts: bool) -> None:
    """The silent sessions are asked first. Within the first part alone they would be many more than a tenth."""
    system = world(FEW)
    for number in range(silent):
        system.launcher.running[f"s{number:05}"].answers = False
    system.bindery.cull_sessions()
    assert {session_of(system, f"s{number:05}").silent for number in range(silent)} == {int(counts)}


def test_a_concurrent_write_to_one_session_takes_precedence_and_others_are_saved() -> None:
    system = world(FEW)

    def stopped_meanwhile(operation: str, session: str) -> None:
        system.bindery.state.sessions.mark_stopping("s00007", "for a test")

    system.launcher.before = stopped_meanwhile
    system.bindery.cull_sessions()
    system.launcher.before = lambda operation, session: None
    assert session_of(system, "s00007").reason == "for a test"
    assert due(system) == []


def test_outdated_counts_of_silence_end_no_session() -> None:
    """The index showed two silent looks, but the session has answered meanwhile."""
    system = world(1)
    record = record_of("s00000", "http://s00000.sessions.example/", system.clock.now())
    stored = system.table.get(record.pk, record.sk)
    assert stored
    system.table.put(stored.with_data({**stored.data, "silent": 2}))
    system.launcher.running["s00000"].answers = False

    def answered_meanwhile(operation: str, session: str) -> None:
        current = system.table.get(record.pk, record.sk)
        assert current
        system.table.put(current.with_data({**current.data, "silent": 0}))

    system.launcher.before = answered_meanwhile
    system.bindery.cull_sessions()
    assert system.take() == []


def session_of(system: InMemorySystem, name: str) -> Session:
    session = system.bindery.state.sessions.find(name)
    assert session
    return session
