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
from tests.fakes.in_memory_system import Small

BAD = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))
SPECS = ("o/a/HEAD", "o/b/HEAD", "o/c/HEAD", "o/d/HEAD")


@pytest.fixture
def small() -> Small:
    return made(slots=1)


def made(slots: int) -> Small:
    small = Small(rate_limit=1000, build_slots=slots)
    small.host.heads = {spec.removesuffix("/HEAD"): COMMIT for spec in SPECS}
    return small


def opened(small: Small, *specs: str, build_only: bool = False) -> list[Launch]:
    """Open launches one second apart, let them reach their builds, and return them."""
    launches = []
    for spec in specs:
        small.clock.advance(1)
        launches.append(small.open(spec, build_only=build_only))
        small.pump()
    return [small.launch(launch) for launch in launches]


def running(small: Small) -> list[str]:
    return [handle.rpartition("-")[0] for handle in small.builds.running()]


def before(small: Small, *launches: Launch) -> list[int | None]:
    return [small.system.follow_launch.builds_before(small.launch(launch)) for launch in launches]


def finish(small: Small, launch: Launch, report: BuildReport | None = None) -> None:
    small.builds.finish(f"{launch.environment}-{launch.attempt}", report)
    small.pump()


def at_rest(small: Small) -> bool:
    return not small.system.state.slots.held() and not small.system.state.slots.waiting()


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_at_most_as_many_builds_run_as_there_are_slots(slots: int) -> None:
    small = made(slots)
    launches = opened(small, *SPECS)
    for n, launch in enumerate(launches):
        assert running(small) == [each.environment for each in launches[n : n + slots]]
        finish(small, launch)
    assert {small.launch(launch).stage for launch in launches} == {Stage.READY}
    assert at_rest(small)


def test_each_waiting_launch_has_the_number_of_builds_before_it(small: Small) -> None:
    launches = opened(small, *SPECS)
    assert before(small, *launches) == [None, 0, 1, 2]
    finish(small, launches[0])
    assert before(small, *launches) == [None, None, 0, 1]


def test_a_failed_or_lost_build_frees_its_slot_for_the_next(small: Small) -> None:
    a, b, c = opened(small, *SPECS[:3])
    finish(small, a, BAD)
    assert running(small) == [b.environment]
    del small.builds.reports[f"{b.environment}-1"]
    small.handle(BuildChanged(environment=b.environment, attempt=1))
    small.pump()
    assert running(small) == [c.environment]
    finish(small, c)
    assert running(small) == [b.environment]


def test_launches_of_one_environment_share_one_place_in_line(small: Small) -> None:
    a, *others = opened(small, SPECS[0], *[SPECS[1]] * 20)
    assert before(small, *others) == [0] * 20
    assert small.system.state.slots.waiting() == 1
    finish(small, a)
    assert len(small.builds.started) == 2


def test_a_repeated_message_takes_one_slot() -> None:
    small = made(slots=2)
    a, b = opened(small, *SPECS[:2])
    for _ in range(3):
        small.handle(BuildRequested(environment=a.environment, attempt=1))
    assert len(small.system.state.slots.held()) == 2
    assert len(small.builds.started) == 2
    finish(small, a)
    assert small.system.state.slots.held() == [Standing(b.environment, 1)]


def test_a_hint_about_a_running_build_frees_no_slot(small: Small) -> None:
    a, _ = opened(small, *SPECS[:2])
    small.handle(BuildChanged(environment=a.environment, attempt=1))
    small.pump()
    assert running(small) == [a.environment]


def test_a_failed_start_keeps_its_slot_and_is_retried(small: Small) -> None:
    """The start fails after the slot was taken, as in a crash between both. The attempt keeps its slot, and reconcile starts its build."""
    start = small.builds.start

    def down(order: BuildOrder) -> str:
        raise BuildServiceDown(why="no capacity")

    small.builds.start = down  # type: ignore[method-assign]  # until it is restored below
    launch = small.open(SPECS[0])
    small.handle(small.queue.pop())
    with pytest.raises(BuildServiceDown):
        small.handle(small.queue.pop())
    key = small.launch(launch).environment
    assert small.system.state.slots.held() == [Standing(key, 1)]
    small.builds.start = start  # type: ignore[method-assign]  # the original
    small.clock.advance(61)
    small.system.reconcile()
    small.pump()
    assert running(small) == [key]
    assert small.system.state.slots.held() == [Standing(key, 1)]


def test_the_slot_of_an_attempt_whose_end_was_missed_is_freed_by_the_next_sweep(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.builds.reports[f"{a.environment}-1"] = BAD
    small.system.state.environments.finish(a.environment, 1, failure=BAD.failure)  # then the handler crashed
    item = small.table.get(f"environment#{a.environment}", "environment")
    assert item
    small.table.put(item.with_data({**item.data, "attempt": 2}))  # no launch asks about this attempt now
    small.system.reconcile()
    small.pump()
    assert running(small) == [b.environment]


def test_a_lost_start_message_is_sent_again_by_the_next_sweep(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.builds.finish(f"{a.environment}-1")
    small.handle(small.queue.pop())
    assert BuildRequested(environment=b.environment, attempt=1) in [sent.message for sent in small.take()]
    assert before(small, b) == [0]
    small.system.reconcile()
    small.pump()
    assert running(small) == [b.environment]


def test_a_handler_that_died_notifies_the_next_build_when_its_event_is_repeated(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.builds.finish(f"{a.environment}-1")
    ended = small.queue.pop()

    def die(operation: str, keys: object) -> None:
        if operation == "query" and "build-line" in str(keys):
            raise KeyboardInterrupt

    small.table.before = die
    with pytest.raises(KeyboardInterrupt):
        small.handle(ended)
    small.table.before = lambda operation, keys: None
    small.handle(ended)
    small.pump()
    assert running(small) == [b.environment]


def test_a_sweep_neither_stops_nor_starts_a_waiting_build(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    for _ in range(9):
        small.clock.advance(61)
        small.system.reconcile()
        small.pump()
    assert running(small) == [a.environment]
    assert before(small, b) == [0]


def test_the_time_limit_of_a_build_counts_from_its_start(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.clock.advance(500)
    finish(small, a)
    small.clock.advance(500)  # 1000 s after the claim; the limit is 600 s plus two minutes
    small.system.reconcile()
    small.pump()
    assert running(small) == [b.environment]
    small.clock.advance(221)
    small.system.reconcile()
    assert running(small) == []


def test_a_build_started_by_an_older_version_is_limited_from_its_claim(small: Small) -> None:
    (a,) = opened(small, SPECS[0])
    item = small.table.get(f"build#{a.environment}#1", "attempt")
    assert item
    small.table.put(item.with_data({"handle": item.data["handle"]}))
    small.clock.advance(700)
    small.system.reconcile()
    assert running(small) == [a.environment]
    small.clock.advance(61)
    small.system.reconcile()
    assert running(small) == []


def test_the_duration_of_a_build_excludes_its_waiting_time(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.clock.advance(100)
    finish(small, a)
    small.clock.advance(7)
    finish(small, b)
    sums = small.system.state.counters.read()["binderhub_build_time_seconds_sum"]
    assert sum(sums.values()) == 101 + 7  # The launches are one second apart.


def test_a_launch_that_times_out_in_line_reports_it_and_its_build_stays_in_line(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.clock.advance(1199)  # The time of `a` is over too, but its build runs.
    small.system.reconcile(ahead=2)
    small.clock.advance(2)
    small.system.reconcile()
    first, second = small.launch(a).failure, small.launch(b).failure
    assert first
    assert second
    assert (first.kind, second.kind) == ("DeadlinePassed", "BuildsQueued")
    assert "after 20 minutes this repository's turn had not come" in error_message(second).message
    assert small.system.state.slots.before(b.environment, 1) == 0


def test_a_build_without_waiting_launches_is_abandoned_at_its_turn(small: Small) -> None:
    a, b, c = opened(small, *SPECS[:3])
    small.system.stop_launch(b.id)
    finish(small, a)
    assert running(small) == [c.environment]
    assert [order.environment for order in small.builds.started] == [a.environment, c.environment]
    finish(small, c)
    assert at_rest(small)
    again = small.ready(SPECS[1])
    assert (again.attempt, again.at_first_attempt) == (2, True)


def test_a_build_that_another_launch_waits_for_is_made(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.system.stop_launch(b.id)
    (late,) = opened(small, SPECS[1])
    finish(small, a)
    finish(small, late)
    assert small.launch(late).stage is Stage.READY
    assert small.launch(late).attempt == 1


def test_a_launch_that_arrives_while_its_build_is_abandoned_gets_the_next_attempt(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.system.stop_launch(b.id)
    late: list[Launch] = []

    def come(operation: str, keys: object) -> None:
        if operation == "transact" and "'environment#" in str(keys) and "#waiters#" not in str(keys) and not late:
            late.append(small.open(SPECS[1]))
            small.handle(next(sent.message for sent in small.queue.sent if late[0].id in str(sent.message)))

    small.table.before = come
    finish(small, a)
    assert late
    small.build()
    now = small.launch(late[0])
    assert (now.stage, now.attempt) == (Stage.READY, 2)
    assert at_rest(small)


def test_prebuilds_wait_behind_visitors(small: Small) -> None:
    (a,) = opened(small, SPECS[0])
    (prebuild,) = opened(small, SPECS[1], build_only=True)
    (visitor,) = opened(small, SPECS[2])
    assert before(small, visitor, prebuild) == [0, 1]
    finish(small, a)
    assert running(small) == [visitor.environment]


def test_a_prebuild_that_a_visitor_waits_for_gets_the_place_of_its_claim(small: Small) -> None:
    opened(small, SPECS[0])
    (prebuild,) = opened(small, SPECS[1], build_only=True)
    (other,) = opened(small, SPECS[2])
    (visitor,) = opened(small, SPECS[1])
    assert visitor.environment == prebuild.environment
    assert before(small, visitor, other) == [0, 1]


def test_a_dead_letter_of_a_waiting_build_ends_all_its_launches(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.system.fail_launch(BuildRequested(environment=b.environment, attempt=1).model_dump_json())
    assert small.launch(b).stage is Stage.FAILED
    finish(small, a)
    assert at_rest(small)


def test_metrics_contain_used_slots_and_waiting_builds(small: Small) -> None:
    opened(small, *SPECS[:3])
    small.system.render_metrics()
    text = small.system.metrics_text.get() or ""
    assert "\nbindery_build_slots_in_use 1.0\n" in text
    assert "\nbindery_builds_waiting 2.0\n" in text


def test_a_build_abandoned_just_before_it_gets_its_slot_is_not_started(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.builds.finish(f"{a.environment}-1")
    small.handle(small.queue.pop())
    order = BuildRequested(environment=b.environment, attempt=1)
    small.take()

    def give_up_first(operation: str, keys: object) -> None:
        if operation == "query" and "build-slots" in str(keys):
            small.table.before = lambda operation, keys: None
            small.system.stop_launch(b.id)
            small.handle(order)

    small.table.before = give_up_first
    small.handle(order)
    assert [started.environment for started in small.builds.started] == [a.environment]
    assert at_rest(small)


def test_a_build_that_cannot_be_started_fails_with_a_message_and_frees_its_slot(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = small.builds.start

    def refuse_the_first(order: BuildOrder) -> str:
        if order.repository.spec == SPECS[0]:
            raise RepositoryUnusable(why="its address is too long")
        return start(order)

    monkeypatch.setattr(small.builds, "start", refuse_the_first)
    refused, built = opened(small, SPECS[0], SPECS[1])
    assert refused.stage is Stage.FAILED
    assert refused.failure == Failure.of(RepositoryUnusable(why="its address is too long"))
    assert running(small) == [built.environment]
    finish(small, built)
    assert small.launch(built).stage is Stage.READY
    assert at_rest(small)


FULL = "CodeBuild says AccountLimitExceededException: Cannot have more than 0 builds in queue for the account"


def swept(small: Small) -> None:
    small.clock.advance(61)
    small.system.reconcile()
    small.pump()


def test_a_build_refused_by_the_service_waits_in_line_with_the_reason(small: Small) -> None:
    small.builds.refusal = FULL
    (a,) = opened(small, SPECS[0])
    follow = small.system.follow_launch
    for _ in range(3):
        assert before(small, a) == [0]
        assert follow.builds_refused(small.launch(a)) == FULL
        assert not small.system.state.slots.held()
        assert small.launch(a).stage is Stage.BUILDING
        swept(small)
    small.builds.refusal = ""
    swept(small)
    assert running(small) == [a.environment]
    assert before(small, a) == [None]
    assert follow.builds_refused(small.launch(a)) == ""
    finish(small, a)
    assert small.launch(a).stage is Stage.READY
    assert at_rest(small)


def test_a_refused_build_keeps_its_turn(small: Small) -> None:
    small.builds.refusal = FULL
    a, b = opened(small, *SPECS[:2])
    assert before(small, a, b) == [0, 1]
    small.builds.refusal = ""
    swept(small)
    assert running(small) == [a.environment]


def test_a_launch_that_times_out_with_a_refused_build_reports_the_reason(small: Small) -> None:
    small.builds.refusal = FULL
    (a,) = opened(small, SPECS[0])
    small.clock.advance(1201)
    small.system.reconcile()
    failure = small.launch(a).failure
    assert failure
    assert (failure.kind, failure.facts["why"]) == ("BuildsRefused", FULL)
    assert FULL in error_message(failure).message


def test_a_refused_build_without_waiting_launches_is_abandoned(small: Small) -> None:
    small.builds.refusal = FULL
    (a,) = opened(small, SPECS[0])
    small.system.stop_launch(a.id)
    swept(small)
    assert at_rest(small)


def test_a_repeated_message_that_is_refused_does_not_free_the_slot(small: Small) -> None:
    """The build of the first message runs, as its recorded handle shows, so it keeps its slot."""
    start, environments = small.builds.start, small.system.state.environments

    def late(order: BuildOrder) -> str:
        environments.record_start(order.environment, order.attempt, start(order))
        raise BuildsRefused(why=FULL)

    small.builds.start = late  # type: ignore[method-assign]  # for the rest of the test
    (a,) = opened(small, SPECS[0])
    assert running(small) == [a.environment]
    assert small.system.state.slots.held() == [Standing(a.environment, 1)]
