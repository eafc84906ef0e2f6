"""The choice of sessions to stop: the idle, the too old and the long silent. A network failure stops no session."""

from dataclasses import replace

import pytest

from bindery.domain.launch import Launch
from bindery.domain.messages import StopRequested
from bindery.domain.sessions import SessionState
from tests.fakes.in_memory_system import ASKED, Small


def sweep(small: Small, seconds: float = 61) -> list[StopRequested]:
    """Advance the clock, run the timer's sweep, handle its stop requests, and return them."""
    small.clock.advance(seconds)
    small.system.cull_sessions()
    stops = [sent.message for sent in small.take() if isinstance(sent.message, StopRequested)]
    for stop in stops:
        small.handle(stop)
    return stops


def ready_for(small: Small, client: str, count: int) -> list[Launch]:
    """Open launches for one client, make their sessions ready, and return them."""
    launches = [small.system.open_launch(replace(ASKED, client=client)).launch for _ in range(count)]
    small.build()
    return [small.launch(launch) for launch in launches]


def ready(small: Small, count: int) -> list[Launch]:
    return [small.ready() for _ in range(count)]


def test_an_active_session_is_not_stopped(small: Small) -> None:
    launch = small.ready()
    for _ in range(40):
        small.launcher.running[launch.id].last = small.clock.now()
        assert sweep(small) == []
    assert small.session(launch).state is SessionState.RUNNING


def test_an_idle_session_is_stopped_with_a_reason(small: Small) -> None:
    launch = small.ready()
    assert sweep(small, 599) == []
    (stop,) = sweep(small, 61)
    assert stop == StopRequested(session=launch.id, reason="nothing happened in it for 10 minutes")
    assert small.session(launch).state is SessionState.ENDED
    assert launch.id not in small.launcher.running
    assert small.system.state.quotas.taken() == 0


def test_a_session_with_a_busy_kernel_is_not_idle(small: Small) -> None:
    launch = small.ready()
    small.launcher.running[launch.id].busy = True
    for _ in range(15):
        assert sweep(small) == []
    small.launcher.running[launch.id].busy = False
    assert sweep(small, 500) == []
    assert len(sweep(small, 200)) == 1


def test_a_busy_kernel_without_output_keeps_its_session_for_a_limited_time() -> None:
    small = Small(idle_seconds=3600, max_age_seconds=0, busy_seconds=86400)
    launch = small.ready()
    small.launcher.running[launch.id].busy = True
    for _ in range(24):
        assert sweep(small, 3599) == []
    assert sweep(small, 3000) == []
    (stop,) = sweep(small, 700)
    assert stop.reason == "its kernel computed for 25 hours without a sign of life"


def test_a_busy_kernel_with_occasional_output_keeps_its_session() -> None:
    small = Small(max_age_seconds=0, busy_seconds=86400)
    launch = small.ready()
    small.launcher.running[launch.id].busy = True
    for _ in range(10):
        assert sweep(small, 80000) == []
        small.launcher.running[launch.id].last = small.clock.now()


def test_a_session_over_its_maximum_age_is_stopped_even_if_busy(small: Small) -> None:
    launch = small.ready()
    small.launcher.running[launch.id].busy = True
    assert sweep(small, 3500) == []
    (stop,) = sweep(small, 200)
    assert stop.reason == "it was 60 minutes old, the most a session may be"


def test_without_limits_no_session_is_stopped() -> None:
    small = Small(idle_seconds=0, max_age_seconds=0)
    small.ready()
    assert sweep(small, 1e6) == []


def test_an_unchanged_session_is_checked_often_and_written_rarely() -> None:
    small = Small(idle_seconds=0)
    launch = small.ready()
    operations: list[str] = []
    written: list[str] = []
    small.launcher.before = lambda operation, session: operations.append(operation)
    small.table.before = lambda operation, keys: written.append(operation) if operation != "due" else None
    for _ in range(20):
        sweep(small, 60)
    assert operations.count("activity") == 20
    assert 3 <= len(written) <= 4
    small.launcher.running[launch.id].last = small.clock.now()
    sweep(small, 60)
    assert small.session(launch).last_activity == small.launcher.running[launch.id].last


def test_a_session_is_not_checked_before_it_is_due(small: Small) -> None:
    launch = small.ready()
    operations = []
    small.launcher.before = lambda operation, session: operations.append(operation)
    sweep(small, 59)
    assert operations == []
    small.launcher.running[launch.id].last = small.clock.now()  # New activity is written, so the session is due later.
    sweep(small, 2)
    sweep(small, 29)
    assert operations == ["activity"]
    sweep(small, 2)
    assert operations == ["activity", "activity"]


def test_a_server_silent_three_times_in_a_row_is_stopped(small: Small) -> None:
    launch = small.ready()
    small.launcher.running[launch.id].answers = False
    assert sweep(small) == []
    assert sweep(small) == []
    (stop,) = sweep(small)
    assert stop.reason == "its server no longer answered"


def test_an_answer_resets_the_count_of_silent_checks(small: Small) -> None:
    launch = small.ready()
    for answers in (False, False, True, False, False):
        small.launcher.running[launch.id].answers = answers
        small.launcher.running[launch.id].last = small.clock.now()
        assert sweep(small) == []


def ill(small: Small, count: int) -> list[Launch]:
    """Open sessions that do not answer, as in a network failure, and return their launches."""
    launches = ready(small, count)
    for launch in launches:
        small.launcher.running[launch.id].answers = False
    return launches


def test_while_many_sessions_are_silent_none_is_stopped_for_hours() -> None:
    small = Small(rate_limit=1000, idle_seconds=0, max_age_seconds=0, cull_seconds=600)
    silent, launch = ill(small, 5), small.ready()
    for _ in range(35):
        assert sweep(small, 601) == []
    sums = small.system.state.counters.read()["bindery_sweeps_in_doubt"]
    assert sum(sums.values()) == 35
    stops = sweep(small, 601)
    assert {stop.session for stop in stops} == {launch.id for launch in silent}
    assert {stop.reason for stop in stops} == {"its server no longer answered"}
    assert small.session(launch).state is SessionState.RUNNING


def test_hours_without_a_check_do_not_count_as_silence() -> None:
    small = Small(rate_limit=1000, idle_seconds=0, max_age_seconds=0)
    ill(small, 6)
    for _ in range(10):
        assert sweep(small, 7 * 3600) == []


def test_each_answer_restarts_the_hours_of_silence() -> None:
    small = Small(rate_limit=1000, idle_seconds=0, max_age_seconds=0, cull_seconds=600)
    launches = ill(small, 6)
    for look in range(100):
        for launch in launches:
            small.launcher.running[launch.id].answers = look % 30 == 29
        assert sweep(small, 601) == []


def test_a_session_that_was_not_queried_is_stopped_only_for_its_age() -> None:
    small = Small(rate_limit=1000, idle_seconds=600, max_age_seconds=0, cull_seconds=60)
    launches = ready(small, 2)
    for launch in launches:
        small.launcher.running[launch.id].answers = False
    assert sweep(small) + sweep(small) == []
    small.launcher.pace = 0  # The sweep's time ends before their turn.
    assert sweep(small, 7000) == []
    small.launcher.pace = 1e9
    assert {stop.session for stop in sweep(small)} == {launch.id for launch in launches}


@pytest.mark.parametrize("seconds", [55, 60, 65])
def test_every_session_is_due_at_each_timer_despite_slow_checks(seconds: float) -> None:
    small = Small(rate_limit=1000, idle_seconds=0, max_age_seconds=0, cull_seconds=60)
    ready(small, 3)
    small.launcher.before = lambda operation, _: small.clock.advance(2) if operation == "activity" else None
    small.clock.advance(60)
    for _ in range(5):
        assert len(small.system.state.sessions.due()) == 3
        sweep(small, 0)
        small.clock.advance(seconds - 2)


def test_after_a_network_failure_no_session_is_stopped_for_its_silence(small: Small) -> None:
    launches = ready(small, 6)
    for answers in (False,) * 12 + (True,):
        for launch in launches:
            small.launcher.running[launch.id].answers = answers
            small.launcher.running[launch.id].last = small.clock.now()
        assert sweep(small) == []


def test_a_session_over_its_maximum_age_is_stopped_even_in_a_network_failure(small: Small) -> None:
    launches = ready(small, 6)
    for launch in launches:
        small.launcher.running[launch.id].answers = False
    assert len(sweep(small, 3700)) == 6


def test_a_few_silent_sessions_among_many_are_stopped(small: Small) -> None:
    launches = ready(small, 12)
    for launch in launches[:4]:
        small.launcher.running[launch.id].answers = False
    stops = []
    for _ in range(3):
        for launch in launches[4:]:
            small.launcher.running[launch.id].last = small.clock.now()
        stops += sweep(small)
    assert {stop.session for stop in stops} == {launch.id for launch in launches[:4]}


def test_a_stopping_session_is_not_queried(small: Small) -> None:
    launch = small.ready()
    small.system.state.sessions.stopping(launch.id, "for a test")
    assert sweep(small, 3000) == []


def test_a_check_does_not_restore_a_session_stopped_meanwhile(small: Small) -> None:
    launch = small.ready()

    def stopped_meanwhile(operation: str, session: str) -> None:
        if operation == "activity":
            small.system.state.sessions.stopping(launch.id, "for a test")

    small.launcher.before = stopped_meanwhile
    sweep(small)
    assert small.session(launch).state is SessionState.STOPPING


def silence(small: Small, launches: list[Launch]) -> None:
    for launch in launches:
        small.launcher.running[launch.id].answers = False


def test_silent_sessions_of_one_client_are_no_network_failure(small: Small) -> None:
    hostile, honest = ready_for(small, "203.0.113.1", 6), ready_for(small, "203.0.113.2", 1)
    silence(small, hostile)
    stops = [stop for _ in range(3) for stop in sweep(small)]
    assert {stop.session for stop in stops} == {launch.id for launch in hostile}
    assert "bindery_sweeps_in_doubt" not in small.system.state.counters.read()
    assert small.session(honest[0]).state is SessionState.RUNNING


def test_silent_sessions_of_several_clients_are_a_network_failure(small: Small) -> None:
    silent = ready_for(small, "203.0.113.1", 5) + ready_for(small, "203.0.113.2", 1)
    ready_for(small, "203.0.113.3", 1)
    silence(small, silent)
    assert [stop for _ in range(3) for stop in sweep(small)] == []


def test_silent_sessions_without_any_other_client_are_a_network_failure(small: Small) -> None:
    silence(small, ready_for(small, "203.0.113.1", 6))
    assert [stop for _ in range(3) for stop in sweep(small)] == []
