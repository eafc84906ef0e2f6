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
def test_no_more_builds_run_than_there_are_slots(slots: int) -> None:
    small = made(slots)
    launches = opened(small, *SPECS)
    for n, launch in enumerate(launches):
        assert running(small) == [each.environment for each in launches[n : n + slots]]
        finish(small, launch)
    assert {small.launch(launch).stage for launch in launches} == {Stage.READY}
    assert at_rest(small)


def test_each_is_told_how_many_are_before_it(small: Small) -> None:
    launches = opened(small, *SPECS)
    assert before(small, *launches) == [None, 0, 1, 2]
    finish(small, launches[0])
    assert before(small, *launches) == [None, None, 0, 1]


def test_a_build_that_fails_or_is_lost_passes_its_slot_on(small: Small) -> None:
    a, b, c = opened(small, *SPECS[:3])
    finish(small, a, BAD)
    assert running(small) == [b.environment]
    del small.builds.reports[f"{b.environment}-1"]
    small.handle(BuildChanged(environment=b.environment, attempt=1))
    small.pump()
    assert running(small) == [c.environment]
    finish(small, c)
    assert running(small) == [b.environment]


def test_everybody_who_wants_the_same_stands_in_line_once(small: Small) -> None:
    a, *others = opened(small, SPECS[0], *[SPECS[1]] * 20)
    assert before(small, *others) == [0] * 20
    assert small.system.state.slots.waiting() == 1
    finish(small, a)
    assert len(small.builds.started) == 2


def test_a_message_that_comes_twice_takes_one_slot() -> None:
    small = made(slots=2)
    a, b = opened(small, *SPECS[:2])
    for _ in range(3):
        small.handle(BuildRequested(environment=a.environment, attempt=1))
    assert len(small.system.state.slots.held()) == 2
    assert len(small.builds.started) == 2
    finish(small, a)
    assert small.system.state.slots.held() == [Standing(b.environment, 1)]


def test_a_hint_about_a_build_that_runs_frees_nothing(small: Small) -> None:
    a, _ = opened(small, *SPECS[:2])
    small.handle(BuildChanged(environment=a.environment, attempt=1))
    small.pump()
    assert running(small) == [a.environment]


def test_a_start_that_met_trouble_keeps_its_slot_and_is_brought_again(small: Small) -> None:
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


def test_a_slot_whose_attempt_ended_unheard_passes_on_at_the_next_sweep(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.builds.reports[f"{a.environment}-1"] = BAD
    small.system.state.environments.finish(a.environment, 1, failure=BAD.failure)  # then the handler crashed
    item = small.table.get(f"environment#{a.environment}", "environment")
    assert item
    small.table.put(item.with_data({**item.data, "attempt": 2}))  # no launch asks about this attempt now
    small.system.reconcile()
    small.pump()
    assert running(small) == [b.environment]


def test_a_wake_up_that_was_lost_is_sent_again_at_the_next_sweep(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.builds.finish(f"{a.environment}-1")
    small.handle(small.queue.pop())
    assert BuildRequested(environment=b.environment, attempt=1) in [sent.message for sent in small.take()]
    assert before(small, b) == [0]
    small.system.reconcile()
    small.pump()
    assert running(small) == [b.environment]


def test_whoever_told_the_next_and_died_tells_again_when_the_event_comes_again(small: Small) -> None:
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


def test_a_build_in_line_is_neither_stopped_nor_started_by_a_sweep(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    for _ in range(9):
        small.clock.advance(61)
        small.system.reconcile()
        small.pump()
    assert running(small) == [a.environment]
    assert before(small, b) == [0]


def test_a_builds_limit_counts_from_its_start(small: Small) -> None:
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


def test_a_build_that_an_older_version_started_is_limited_from_its_claim(small: Small) -> None:
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


def test_how_long_a_build_took_does_not_count_its_time_in_line(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.clock.advance(100)
    finish(small, a)
    small.clock.advance(7)
    finish(small, b)
    sums = small.system.state.counters.read()["binderhub_build_time_seconds_sum"]
    assert sum(sums.values()) == 101 + 7  # The launches are one second apart.


def test_a_launch_whose_time_is_over_in_line_says_so_and_its_build_keeps_its_place(small: Small) -> None:
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


def test_a_build_that_nobody_waits_for_when_its_turn_comes_is_given_up(small: Small) -> None:
    a, b, c = opened(small, *SPECS[:3])
    small.system.stop_launch(b.id)
    finish(small, a)
    assert running(small) == [c.environment]
    assert [order.environment for order in small.builds.started] == [a.environment, c.environment]
    finish(small, c)
    assert at_rest(small)
    again = small.ready(SPECS[1])
    assert (again.attempt, again.at_first_attempt) == (2, True)


def test_a_build_that_somebody_else_waits_for_by_then_is_made(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.system.stop_launch(b.id)
    (late,) = opened(small, SPECS[1])
    finish(small, a)
    finish(small, late)
    assert small.launch(late).stage is Stage.READY
    assert small.launch(late).attempt == 1


def test_who_comes_just_when_a_build_is_given_up_gets_the_next_attempt(small: Small) -> None:
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


def test_prebuilds_stand_behind_visitors(small: Small) -> None:
    (a,) = opened(small, SPECS[0])
    (prebuild,) = opened(small, SPECS[1], build_only=True)
    (visitor,) = opened(small, SPECS[2])
    assert before(small, visitor, prebuild) == [0, 1]
    finish(small, a)
    assert running(small) == [visitor.environment]


def test_a_prebuild_that_a_visitor_waits_for_stands_where_it_was_claimed(small: Small) -> None:
    opened(small, SPECS[0])
    (prebuild,) = opened(small, SPECS[1], build_only=True)
    (other,) = opened(small, SPECS[2])
    (visitor,) = opened(small, SPECS[1])
    assert visitor.environment == prebuild.environment
    assert before(small, visitor, other) == [0, 1]


def test_a_dead_letter_of_a_build_in_line_leaves_nobody_waiting(small: Small) -> None:
    a, b = opened(small, *SPECS[:2])
    small.system.fail_launch(BuildRequested(environment=b.environment, attempt=1).model_dump_json())
    assert small.launch(b).stage is Stage.FAILED
    finish(small, a)
    assert at_rest(small)


def test_gauges_tell_slots_and_line(small: Small) -> None:
    opened(small, *SPECS[:3])
    small.system.render_metrics()
    text = small.system.metrics_text.get() or ""
    assert "\nbindery_build_slots_in_use 1.0\n" in text
    assert "\nbindery_builds_waiting 2.0\n" in text


def test_a_build_that_is_given_up_just_before_it_has_its_slot_is_not_begun(small: Small) -> None:
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


def test_one_that_can_never_be_started_fails_in_words_and_gives_its_slot_back(
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


def test_a_build_that_the_service_refuses_has_a_place_in_line_with_its_words(small: Small) -> None:
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


def test_a_launch_whose_time_is_over_while_builds_are_refused_is_told_the_words(small: Small) -> None:
    small.builds.refusal = FULL
    (a,) = opened(small, SPECS[0])
    small.clock.advance(1201)
    small.system.reconcile()
    failure = small.launch(a).failure
    assert failure
    assert (failure.kind, failure.facts["why"]) == ("BuildsRefused", FULL)
    assert FULL in error_message(failure).message


def test_a_refused_build_that_nobody_waits_for_is_given_up(small: Small) -> None:
    small.builds.refusal = FULL
    (a,) = opened(small, SPECS[0])
    small.system.stop_launch(a.id)
    swept(small)
    assert at_rest(small)


def test_a_message_that_comes_twice_and_is_refused_the_second_time_takes_no_slot_away(small: Small) -> None:
    """The build of the first message runs, as its recorded handle shows, so it keeps its slot."""
    start, environments = small.builds.start, small.system.state.environments

    def late(order: BuildOrder) -> str:
        environments.record_start(order.environment, order.attempt, start(order))
        raise BuildsRefused(why=FULL)

    small.builds.start = late  # type: ignore[method-assign]  # for the rest of the test
    (a,) = opened(small, SPECS[0])
    assert running(small) == [a.environment]
    assert small.system.state.slots.held() == [Standing(a.environment, 1)]
