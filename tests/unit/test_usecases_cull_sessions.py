"""The choice of sessions to stop: the idle, the too old and the long silent. A network failure stops no session."""

from dataclasses import replace

import pytest

from bindery.domain.launch import Launch
from bindery.domain.messages import StopRequested
from bindery.domain.sessions import SessionState
from tests.fakes.in_memory_system import REQUEST, InMemorySystem


def sweep(system: InMemorySystem, seconds: float = 61) -> list[StopRequested]:
    """Advance the clock, run the timer's sweep, handle its stop requests, and return them."""
    system.clock.advance(seconds)
    system.bindery.cull_sessions()
    stops = [sent.message for sent in system.take() if isinstance(sent.message, StopRequested)]
    for stop in stops:
        system.handle(stop)
    return stops


def ready_for(system: InMemorySystem, client: str, count: int) -> list[Launch]:
    """Open launches for one client, make their sessions ready, and return them."""
    launches = [system.bindery.open_launch(replace(REQUEST, client=client)).launch for _ in range(count)]
    system.build()
    return [system.launch(launch) for launch in launches]


def ready(system: InMemorySystem, count: int) -> list[Launch]:
    return [system.ready() for _ in range(count)]


def test_an_active_session_is_not_stopped(system: InMemorySystem) -> None:
    launch = system.ready()
    for _ in range(40):
        system.launcher.running[launch.id].last = system.clock.now()
        assert sweep(system) == []
    assert system.session(launch).state is SessionState.RUNNING


def test_an_idle_session_is_stopped_with_a_reason(system: InMemorySystem) -> None:
    launch = system.ready()
    assert sweep(system, 599) == []
    (stop,) = sweep(system, 61)
    assert stop == StopRequested(session=launch.id, reason="nothing happened in it for 10 minutes")
    assert system.session(launch).state is SessionState.ENDED
    assert launch.id not in system.launcher.running
    assert system.bindery.state.quotas.taken() == 0


def test_a_session_with_a_busy_kernel_is_not_idle(system: InMemorySystem) -> None:
    launch = system.ready()
    system.launcher.running[launch.id].busy = True
    for _ in range(15):
        assert sweep(system) == []
    system.launcher.running[launch.id].busy = False
    assert sweep(system, 500) == []
    assert len(sweep(system, 200)) == 1


def test_a_busy_kernel_without_output_keeps_its_session_for_a_limited_time() -> None:
    system = InMemorySystem(idle_seconds=3600, max_age_seconds=0, busy_seconds=86400)
    launch = system.ready()
    system.launcher.running[launch.id].busy = True
    for _ in range(24):
        assert sweep(system, 3599) == []
    assert sweep(system, 3000) == []
    (stop,) = sweep(system, 700)
    assert stop.reason == "its kernel computed for 25 hours without a sign of life"


def test_a_busy_kernel_with_occasional_output_keeps_its_session() -> None:
    system = InMemorySystem(max_age_seconds=0, busy_seconds=86400)
    launch = system.ready()
    system.launcher.running[launch.id].busy = True
    for _ in range(10):
        assert sweep(system, 80000) == []
        system.launcher.running[launch.id].last = system.clock.now()


def test_a_session_over_its_maximum_age_is_stopped_even_if_busy(system: InMemorySystem) -> None:
    launch = system.ready()
    system.launcher.running[launch.id].busy = True
    assert sweep(system, 3500) == []
    (stop,) = sweep(system, 200)
    assert stop.reason == "it was 60 minutes old, the most a session may be"


def test_without_limits_no_session_is_stopped() -> None:
    system = InMemorySystem(idle_seconds=0, max_age_seconds=0)
    system.ready()
    assert sweep(system, 1e6) == []


def test_an_unchanged_session_is_checked_often_and_written_rarely() -> None:
    system = InMemorySystem(idle_seconds=0)
    launch = system.ready()
    operations: list[str] = []
    written: list[str] = []
    system.launcher.before = lambda operation, session: operations.append(operation)
    system.table.before = lambda operation, keys: written.append(operation) if operation != "due" else None
    for _ in range(20):
        sweep(system, 60)
    assert operations.count("activity") == 20
    assert 3 <= len(written) <= 4
    system.launcher.running[launch.id].last = system.clock.now()
    sweep(system, 60)
    assert system.session(launch).last_activity == system.launcher.running[launch.id].last


def test_a_session_is_not_checked_before_it_is_due(system: InMemorySystem) -> None:
    launch = system.ready()
    operations = []
    system.launcher.before = lambda operation, session: operations.append(operation)
    sweep(system, 59)
    assert operations == []
    system.launcher.running[
        launch.id
    ].last = system.clock.now()  # New activity is written, so the session is due later.
    sweep(system, 2)
    sweep(system, 29)
    assert operations == ["activity"]
    sweep(system, 2)
    assert operations == ["activity", "activity"]


def test_a_server_silent_three_times_in_a_row_is_stopped(system: InMemorySystem) -> None:
    launch = system.ready()
    system.launcher.running[launch.id].answers = False
    assert sweep(system) == []
    assert sweep(system) == []
    (stop,) = sweep(system)
    assert stop.reason == "its server no longer answered"


def test_an_answer_resets_the_count_of_silent_checks(system: InMemorySystem) -> None:
    launch = system.ready()
    for answers in (False, False, True, False, False):
        system.launcher.running[launch.id].answers = answers
        system.launcher.running[launch.id].last = system.clock.now()
        assert sweep(system) == []


def ill(system: InMemorySystem, count: int) -> list[Launch]:
    """Open sessions that do not answer, as in a network failure, and return their launches."""
    launches = ready(system, count)
    for launch in launches:
        system.launcher.running[launch.id].answers = False
    return launches


def test_while_many_sessions_are_silent_none_is_stopped_for_hours() -> None:
    system = InMemorySystem(rate_limit=1000, idle_seconds=0, max_age_seconds=0, cull_seconds=600)
    silent, launch = ill(system, 5), system.ready()
    for _ in range(35):
        assert sweep(system, 601) == []
    sums = system.bindery.state.counters.read()["bindery_sweeps_in_doubt"]
    assert sum(sums.values()) == 35
    stops = sweep(system, 601)
    assert {stop.session for stop in stops} == {launch.id for launch in silent}
    assert {stop.reason for stop in stops} == {"its server no longer answered"}
    assert system.session(launch).state is SessionState.RUNNING


def test_hours_without_a_check_do_not_count_as_silence() -> None:
    system = InMemorySystem(rate_limit=1000, idle_seconds=0, max_age_seconds=0)
    ill(system, 6)
    for _ in range(10):
        assert sweep(system, 7 * 3600) == []


def test_each_answer_restarts_the_hours_of_silence() -> None:
    system = InMemorySystem(rate_limit=1000, idle_seconds=0, max_age_seconds=0, cull_seconds=600)
    launches = ill(system, 6)
    for look in range(100):
        for launch in launches:
            system.launcher.running[launch.id].answers = look % 30 == 29
        assert sweep(system, 601) == []


def test_a_session_that_was_not_queried_is_stopped_only_for_its_age() -> None:
    system = InMemorySystem(rate_limit=1000, idle_seconds=600, max_age_seconds=0, cull_seconds=60)
    launches = ready(system, 2)
    for launch in launches:
        system.launcher.running[launch.id].answers = False
    assert sweep(system) + sweep(system) == []
    system.launcher.pace = 0  # The sweep's time ends before their turn.
    assert sweep(system, 7000) == []
    system.launcher.pace = 1e9
    assert {stop.session for stop in sweep(system)} == {launch.id for launch in launches}


@pytest.mark.parametrize("seconds", [55, 60, 65])
def test_every_session_is_due_at_each_timer_despite_slow_checks(seconds: float) -> None:
    system = InMemorySystem(rate_limit=1000, idle_seconds=0, max_age_seconds=0, cull_seconds=60)
    ready(system, 3)
    system.launcher.before = lambda operation, _: system.clock.advance(2) if operation == "activity" else None
    system.clock.advance(60)
    for _ in range(5):
        assert len(system.bindery.state.sessions.due()) == 3
        sweep(system, 0)
        system.clock.advance(seconds - 2)


def test_after_a_network_failure_no_session_is_stopped_for_its_silence(system: InMemorySystem) -> None:
    launches = ready(system, 6)
    for answers in (False,) * 12 + (True,):
        for launch in launches:
            system.launcher.running[launch.id].answers = answers
            system.launcher.running[launch.id].last = system.clock.now()
        assert sweep(system) == []


def test_a_session_over_its_maximum_age_is_stopped_even_in_a_network_failure(system: InMemorySystem) -> None:
    launches = ready(system, 6)
    for launch in launches:
        system.launcher.running[launch.id].answers = False
    assert len(sweep(system, 3700)) == 6


def test_a_few_silent_sessions_among_many_are_stopped(system: InMemorySystem) -> None:
    launches = ready(system, 12)
    for launch in launches[:4]:
        system.launcher.running[launch.id].answers = False
    stops = []
    for _ in range(3):
        for launch in launches[4:]:
            system.launcher.running[launch.id].last = system.clock.now()
        stops += sweep(system)
    assert {stop.session for stop in stops} == {launch.id for launch in launches[:4]}


def test_a_stopping_session_is_not_queried(system: InMemorySystem) -> None:
    launch = system.ready()
    system.bindery.state.sessions.mark_stopping(launch.id, "for a test")
    assert sweep(system, 3000) == []


def test_a_check_does_not_restore_a_session_stopped_meanwhile(system: InMemorySystem) -> None:
    launch = system.ready()

    def stopped_meanwhile(operation: str, session: str) -> None:
        if operation == "activity":
            system.bindery.state.sessions.mark_stopping(launch.id, "for a test")

    system.launcher.before = stopped_meanwhile
    sweep(system)
    assert system.session(launch).state is SessionState.STOPPING


def silence(system: InMemorySystem, launches: list[Launch]) -> None:
    for launch in launches:
        system.launcher.running[launch.id].answers = False


def test_silent_sessions_of_one_client_are_no_network_failure(system: InMemorySystem) -> None:
    hostile, honest = ready_for(system, "203.0.113.1", 6), ready_for(system, "203.0.113.2", 1)
    silence(system, hostile)
    stops = [stop for _ in range(3) for stop in sweep(system)]
    assert {stop.session for stop in stops} == {launch.id for launch in hostile}
    assert "bindery_sweeps_in_doubt" not in system.bindery.state.counters.read()
    assert system.session(honest[0]).state is SessionState.RUNNING


def test_silent_sessions_of_several_clients_are_a_network_failure(system: InMemorySystem) -> None:
    silent = ready_for(system, "203.0.113.1", 5) + ready_for(system, "203.0.113.2", 1)
    ready_for(system, "203.0.113.3", 1)
    silence(system, silent)
    assert [stop for _ in range(3) for stop in sweep(system)] == []


def test_silent_sessions_without_any_other_client_are_a_network_failure(system: InMemorySystem) -> None:
    silence(system, ready_for(system, "203.0.113.1", 6))
    assert [stop for _ in range(3) for stop in sweep(system)] == []
