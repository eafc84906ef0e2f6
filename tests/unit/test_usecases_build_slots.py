"""More environments than build slots. They are built one after the other, and each waiting launch is told how many precede its own."""

import pytest

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BuildFailed, BuildServiceDown, BuildsRefused, RepositoryUnusable
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged, BuildRequested
from bindery.state.build_slots import Standing
from bindery.web.errors.render import error_message
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import InMemorySystem

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))
SPECS = ("o/a/HEAD", "o/b/HEAD", "o/c/HEAD", "o/d/HEAD")


@pytest.fixture
def system() -> InMemorySystem:
    return system_with(slots=1)


def system_with(slots: int) -> InMemorySystem:
    system = InMemorySystem(rate_limit=1000, build_slots=slots)
    system.host.heads = {spec.removesuffix("/HEAD"): COMMIT for spec in SPECS}
    return system


def opened(system: InMemorySystem, *specs: str, build_only: bool = False) -> list[Launch]:
    """Open launches one second apart, let them reach their builds, and return them."""
    launches = []
    for spec in specs:
        system.clock.advance(1)
        launches.append(system.open(spec, build_only=build_only))
        system.pump()
    return [system.launch(launch) for launch in launches]


def running(system: InMemorySystem) -> list[str]:
    return [handle.rpartition("-")[0] for handle in system.builds.running()]


def finish(system: InMemorySystem, launch: Launch, report: BuildReport | None = None) -> None:
    system.builds.finish(f"{launch.environment}-{launch.attempt}", report)
    system.pump()


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_at_most_as_many_builds_run_as_there_are_slots(slots: int) -> None:
    system = system_with(slots)
    launches = opened(system, *SPECS)
    for n, launch in enumerate(launches):
        assert running(system) == [each.environment for each in launches[n : n + slots]]
        finish(system, launch)
    assert {system.launch(launch).stage for launch in launches} == {Stage.READY}
    assert system.slots_are_free()


def test_each_waiting_launch_has_the_number_of_builds_before_it(system: InMemorySystem) -> None:
    launches = opened(system, *SPECS)
    assert system.queue_positions(*launches) == [None, 0, 1, 2]
    finish(system, launches[0])
    assert system.queue_positions(*launches) == [None, None, 0, 1]


def test_a_failed_or_lost_build_frees_its_slot_for_the_next(system: InMemorySystem) -> None:
    a, b, c = opened(system, *SPECS[:3])
    finish(system, a, BAD)
    assert running(system) == [b.environment]
    del system.builds.reports[f"{b.environment}-1"]
    system.handle(BuildChanged(environment=b.environment, attempt=1))
    system.pump()
    assert running(system) == [c.environment]
    finish(system, c)
    assert running(system) == [b.environment]


def test_launches_of_one_environment_share_one_place_in_line(system: InMemorySystem) -> None:
    a, *others = opened(system, SPECS[0], *[SPECS[1]] * 20)
    assert system.queue_positions(*others) == [0] * 20
    assert system.bindery.state.slots.waiting() == 1
    finish(system, a)
    assert len(system.builds.started) == 2


def test_a_repeated_message_takes_one_slot() -> None:
    system = system_with(slots=2)
    a, b = opened(system, *SPECS[:2])
    for _ in range(3):
        system.handle(BuildRequested(environment=a.environment, attempt=1))
    assert len(system.bindery.state.slots.held()) == 2
    assert len(system.builds.started) == 2
    finish(system, a)
    assert system.bindery.state.slots.held() == [Standing(b.environment, 1)]


def test_a_hint_about_a_running_build_frees_no_slot(system: InMemorySystem) -> None:
    a, _ = opened(system, *SPECS[:2])
    system.handle(BuildChanged(environment=a.environment, attempt=1))
    system.pump()
    assert running(system) == [a.environment]


def test_a_failed_start_keeps_its_slot_and_is_retried(system: InMemorySystem) -> None:
    """The start fails after the slot was taken, as in a crash between both. The attempt keeps its slot, and reconcile starts its build."""
    start = system.builds.start

    def down(order: BuildOrder) -> str:
        raise BuildServiceDown(why="no capacity")

    system.builds.start = down  # type: ignore[method-assign]  # until it is restored below
    launch = system.open(SPECS[0])
    system.handle(system.queue.pop())
    with pytest.raises(BuildServiceDown):
        system.handle(system.queue.pop())
    key = system.launch(launch).environment
    assert system.bindery.state.slots.held() == [Standing(key, 1)]
    system.builds.start = start  # type: ignore[method-assign]  # the original
    system.clock.advance(61)
    system.bindery.reconcile()
    system.pump()
    assert running(system) == [key]
    assert system.bindery.state.slots.held() == [Standing(key, 1)]


def test_the_slot_of_an_attempt_whose_end_was_missed_is_freed_by_the_next_sweep(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.builds.reports[f"{a.environment}-1"] = BAD
    system.bindery.state.environments.finish(a.environment, 1, failure=BAD.failure)  # then the handler crashed
    item = system.table.get(f"environment#{a.environment}", "environment")
    assert item
    system.table.put(item.with_data({**item.data, "attempt": 2}))  # no launch asks about this attempt now
    system.bindery.reconcile()
    system.pump()
    assert running(system) == [b.environment]


def test_a_lost_start_message_is_sent_again_by_the_next_sweep(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.builds.finish(f"{a.environment}-1")
    system.handle(system.queue.pop())
    assert BuildRequested(environment=b.environment, attempt=1) in [sent.message for sent in system.take()]
    assert system.queue_positions(b) == [0]
    system.bindery.reconcile()
    system.pump()
    assert running(system) == [b.environment]


def test_a_handler_that_died_notifies_the_next_build_when_its_event_is_repeated(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.builds.finish(f"{a.environment}-1")
    ended = system.queue.pop()

    def die(operation: str, keys: object) -> None:
        if operation == "query" and "build-line" in str(keys):
            raise KeyboardInterrupt

    system.table.before = die
    with pytest.raises(KeyboardInterrupt):
        system.handle(ended)
    system.table.before = lambda operation, keys: None
    system.handle(ended)
    system.pump()
    assert running(system) == [b.environment]


def test_a_sweep_neither_stops_nor_starts_a_waiting_build(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    for _ in range(9):
        system.clock.advance(61)
        system.bindery.reconcile()
        system.pump()
    assert running(system) == [a.environment]
    assert system.queue_positions(b) == [0]


def test_the_time_limit_of_a_build_counts_from_its_start(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.clock.advance(500)
    finish(system, a)
    system.clock.advance(500)  # 1000 s after the claim; the limit is 600 s plus two minutes
    system.bindery.reconcile()
    system.pump()
    assert running(system) == [b.environment]
    system.clock.advance(221)
    system.bindery.reconcile()
    assert running(system) == []


def test_a_build_started_by_an_older_version_is_limited_from_its_claim(system: InMemorySystem) -> None:
    (a,) = opened(system, SPECS[0])
    item = system.table.get(f"build#{a.environment}#1", "attempt")
    assert item
    system.table.put(item.with_data({"handle": item.data["handle"]}))
    system.clock.advance(700)
    system.bindery.reconcile()
    assert running(system) == [a.environment]
    system.clock.advance(61)
    system.bindery.reconcile()
    assert running(system) == []


def test_the_duration_of_a_build_excludes_its_waiting_time(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.clock.advance(100)
    finish(system, a)
    system.clock.advance(7)
    finish(system, b)
    sums = system.bindery.state.counters.read()["binderhub_build_time_seconds_sum"]
    assert sum(sums.values()) == 101 + 7  # The launches are one second apart.


def test_a_launch_that_times_out_in_line_reports_it_and_its_build_stays_in_line(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.clock.advance(1199)  # The time of `a` is over too, but its build runs.
    system.bindery.reconcile(ahead=2)
    system.clock.advance(2)
    system.bindery.reconcile()
    first, second = system.launch(a).failure, system.launch(b).failure
    assert first
    assert second
    assert (first.kind, second.kind) == ("DeadlinePassed", "BuildsQueued")
    assert "after 20 minutes this repository's turn had not come" in error_message(second).message
    assert system.bindery.state.slots.before(b.environment, 1) == 0


def test_a_build_without_waiting_launches_is_abandoned_at_its_turn(system: InMemorySystem) -> None:
    a, b, c = opened(system, *SPECS[:3])
    system.bindery.stop_launch(b.id)
    finish(system, a)
    assert running(system) == [c.environment]
    assert [order.environment for order in system.builds.started] == [a.environment, c.environment]
    finish(system, c)
    assert system.slots_are_free()
    again = system.ready(SPECS[1])
    assert (again.attempt, again.at_first_attempt) == (2, True)


def test_a_build_that_another_launch_waits_for_is_made(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.bindery.stop_launch(b.id)
    (late,) = opened(system, SPECS[1])
    finish(system, a)
    finish(system, late)
    assert system.launch(late).stage is Stage.READY
    assert system.launch(late).attempt == 1


def test_a_launch_that_arrives_while_its_build_is_abandoned_gets_the_next_attempt(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.bindery.stop_launch(b.id)
    late: list[Launch] = []

    def come(operation: str, keys: object) -> None:
        if operation == "transact" and "'environment#" in str(keys) and "#waiters#" not in str(keys) and not late:
            late.append(system.open(SPECS[1]))
            system.handle(next(sent.message for sent in system.queue.sent if late[0].id in str(sent.message)))

    system.table.before = come
    finish(system, a)
    assert late
    system.build()
    now = system.launch(late[0])
    assert (now.stage, now.attempt) == (Stage.READY, 2)
    assert system.slots_are_free()


def test_prebuilds_wait_behind_visitors(system: InMemorySystem) -> None:
    (a,) = opened(system, SPECS[0])
    (prebuild,) = opened(system, SPECS[1], build_only=True)
    (visitor,) = opened(system, SPECS[2])
    assert system.queue_positions(visitor, prebuild) == [0, 1]
    finish(system, a)
    assert running(system) == [visitor.environment]


def test_a_prebuild_that_a_visitor_waits_for_gets_the_place_of_its_claim(system: InMemorySystem) -> None:
    opened(system, SPECS[0])
    (prebuild,) = opened(system, SPECS[1], build_only=True)
    (other,) = opened(system, SPECS[2])
    (visitor,) = opened(system, SPECS[1])
    assert visitor.environment == prebuild.environment
    assert system.queue_positions(visitor, other) == [0, 1]


def test_a_dead_letter_of_a_waiting_build_ends_all_its_launches(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.bindery.fail_launch(BuildRequested(environment=b.environment, attempt=1).model_dump_json())
    assert system.launch(b).stage is Stage.FAILED
    finish(system, a)
    assert system.slots_are_free()


def test_metrics_contain_used_slots_and_waiting_builds(system: InMemorySystem) -> None:
    opened(system, *SPECS[:3])
    system.bindery.render_metrics()
    text = system.bindery.metrics_text.get() or ""
    assert "\nbindery_build_slots_in_use 1.0\n" in text
    assert "\nbindery_builds_waiting 2.0\n" in text


def test_a_build_abandoned_just_before_it_gets_its_slot_is_not_started(system: InMemorySystem) -> None:
    a, b = opened(system, *SPECS[:2])
    system.builds.finish(f"{a.environment}-1")
    system.handle(system.queue.pop())
    order = BuildRequested(environment=b.environment, attempt=1)
    system.take()

    def give_up_first(operation: str, keys: object) -> None:
        if operation == "query" and "build-slots" in str(keys):
            system.table.before = lambda operation, keys: None
            system.bindery.stop_launch(b.id)
            system.handle(order)

    system.table.before = give_up_first
    system.handle(order)
    assert [started.environment for started in system.builds.started] == [a.environment]
    assert system.slots_are_free()


def test_a_build_that_cannot_be_started_fails_with_a_message_and_frees_its_slot(
    system: InMemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = system.builds.start

    def refuse_the_first(order: BuildOrder) -> str:
        if order.repository.spec == SPECS[0]:
            raise RepositoryUnusable(why="its address is too long")
        return start(order)

    monkeypatch.setattr(system.builds, "start", refuse_the_first)
    refused, built = opened(system, SPECS[0], SPECS[1])
    assert refused.stage is Stage.FAILED
    assert refused.failure == Failure.of(RepositoryUnusable(why="its address is too long"))
    assert running(system) == [built.environment]
    finish(system, built)
    assert system.launch(built).stage is Stage.READY
    assert system.slots_are_free()


FULL = "CodeBuild says AccountLimitExceededException: Cannot have more than 0 builds in queue for the account"


def swept(system: InMemorySystem) -> None:
    system.clock.advance(61)
    system.bindery.reconcile()
    system.pump()


def test_a_build_refused_by_the_service_waits_in_line_with_the_reason(system: InMemorySystem) -> None:
    system.builds.refusal = FULL
    (a,) = opened(system, SPECS[0])
    follow = system.bindery.follow_launch
    for _ in range(3):
        assert system.queue_positions(a) == [0]
        assert follow.builds_refused(system.launch(a)) == FULL
        assert not system.bindery.state.slots.held()
        assert system.launch(a).stage is Stage.BUILDING
        swept(system)
    system.builds.refusal = ""
    swept(system)
    assert running(system) == [a.environment]
    assert system.queue_positions(a) == [None]
    assert follow.builds_refused(system.launch(a)) == ""
    finish(system, a)
    assert system.launch(a).stage is Stage.READY
    assert system.slots_are_free()


def test_a_refused_build_keeps_its_turn(system: InMemorySystem) -> None:
    system.builds.refusal = FULL
    a, b = opened(system, *SPECS[:2])
    assert system.queue_positions(a, b) == [0, 1]
    system.builds.refusal = ""
    swept(system)
    assert running(system) == [a.environment]


def test_a_launch_that_times_out_with_a_refused_build_reports_the_reason(system: InMemorySystem) -> None:
    system.builds.refusal = FULL
    (a,) = opened(system, SPECS[0])
    system.clock.advance(1201)
    system.bindery.reconcile()
    failure = system.launch(a).failure
    assert failure
    assert (failure.kind, failure.facts["why"]) == ("BuildsRefused", FULL)
    assert FULL in error_message(failure).message


def test_a_refused_build_without_waiting_launches_is_abandoned(system: InMemorySystem) -> None:
    system.builds.refusal = FULL
    (a,) = opened(system, SPECS[0])
    system.bindery.stop_launch(a.id)
    swept(system)
    assert system.slots_are_free()


def test_a_repeated_message_that_is_refused_does_not_free_the_slot(system: InMemorySystem) -> None:
    """The build of the first message runs, as its recorded handle shows, so it keeps its slot."""
    start, environments = system.builds.start, system.bindery.state.environments

    def late(order: BuildOrder) -> str:
        environments.record_start(order.environment, order.attempt, start(order))
        raise BuildsRefused(why=FULL)

    system.builds.start = late  # type: ignore[method-assign]  # for the rest of the test
    (a,) = opened(system, SPECS[0])
    assert running(system) == [a.environment]
    assert system.bindery.state.slots.held() == [Standing(a.environment, 1)]
