"""The sharing of build slots between clients, and between owners of repositories."""

from dataclasses import replace

import pytest

from bindery.domain.errors import OwnerBuildsReached, TooManyBuilds
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildRequested
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import REQUEST, InMemorySystem

ONE, TWO, THREE, OWN_MACHINE = "203.0.113.1", "203.0.113.2", "203.0.113.3", "127.0.0.1"


def system_with(slots: int = 2, **settings: object) -> InMemorySystem:
    limits = {"client_builds": 1, "owner_builds": None, "client_line": 3, **settings}
    system = InMemorySystem(**{"rate_limit": 1000, "build_slots": slots, **limits})  # type: ignore[arg-type]  # settings of any kind
    system.host.heads = {f"{owner}/{name}": COMMIT for owner in ("o", "p", "q") for name in "abcdefghij"}
    return system


def spec_of(repository: str) -> str:
    """Return the link to a repository's newest commit, or to that of a pull request (`o/a/pull/1`)."""
    return f"{repository}/{'head' if '/pull/' in repository else 'HEAD'}"


def come(system: InMemorySystem, client: str, *repositories: str, build_only: bool = False) -> list[Launch]:
    """Open launches of a client, one second apart. Each build gets a slot or a place in line before the next launch."""
    launches = []
    for repository in repositories:
        system.clock.advance(1)
        request = replace(REQUEST, spec=spec_of(repository), client=client, build_only=build_only)
        launches.append(system.bindery.open_launch(request).launch)
        system.pump()
    return [system.launch(launch) for launch in launches]


def running(system: InMemorySystem) -> list[str]:
    """Return the repositories that are being built, in the order in which their builds began."""
    orders = [
        order for order in system.builds.started if f"{order.environment}-{order.attempt}" in system.builds.running()
    ]
    return [order.repository.spec.rpartition("/")[0] for order in orders]


def finish(system: InMemorySystem, launch: Launch) -> None:
    system.builds.finish(f"{launch.environment}-{launch.attempt}")
    system.pump()


def test_one_client_never_uses_every_slot() -> None:
    system = system_with()
    come(system, ONE, "o/a", "o/b", "o/c")
    assert running(system) == ["o/a"]
    come(system, TWO, "p/a")
    assert running(system) == ["o/a", "p/a"]


def test_one_client_may_use_all_slots_but_one_without_other_clients() -> None:
    system = system_with(slots=4)
    come(system, ONE, "o/a", "o/b", "o/c", "o/d")
    assert running(system) == ["o/a", "o/b", "o/c"]


def test_any_client_may_use_a_single_slot() -> None:
    system = system_with(slots=1)
    come(system, ONE, "o/a")
    assert running(system) == ["o/a"]


def test_two_concurrent_builds_of_one_client_do_not_take_both_slots() -> None:
    system = system_with()
    launches = [
        system.bindery.open_launch(replace(REQUEST, spec=spec, client=ONE)).launch for spec in ("o/a/HEAD", "o/b/HEAD")
    ]
    for launch in launches:
        system.handle(next(sent.message for sent in system.queue.sent if launch.id in str(sent.message)))
    first, second = [BuildRequested(environment=system.launch(launch).environment, attempt=1) for launch in launches]
    system.take()

    def other_first(operation: str, keys: object) -> None:
        if operation == "transact" and "build-slots" in str(keys):
            system.table.before = lambda operation, keys: None
            system.handle(second)

    system.table.before = other_first
    system.handle(first)
    system.pump()
    assert running(system) == ["o/b"]


def test_a_slot_taken_by_the_same_client_between_two_reads_is_detected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = system_with()
    holders = [*come(system, TWO, "p/a"), *come(system, THREE, "q/a")]
    first, second = [
        BuildRequested(environment=launch.environment, attempt=1) for launch in come(system, ONE, "o/a", "o/b")
    ]
    for launch in holders:
        system.bindery.state.slots.leave(launch.environment, 1)
        system.builds.finish(f"{launch.environment}-1")
    system.take()
    picks = iter(range(9))
    monkeypatch.setattr(system.clock, "pick", lambda n: next(picks) % n)  # another slot each time

    def other_first(operation: str, keys: object) -> None:
        if operation == "query" and "build-line" in str(keys):
            system.table.before = lambda operation, keys: None
            system.handle(first)

    system.table.before = other_first
    system.handle(second)
    assert running(system) == ["o/a"]


def test_waiting_builds_start_in_turns_between_clients() -> None:
    system = system_with(slots=1, client_line=9)
    first, *crowd = come(system, ONE, "o/a", "o/b", "o/c", "o/d")
    (second,), (third,) = come(system, TWO, "p/a"), come(system, THREE, "q/a")
    assert system.queue_positions(*crowd, second, third) == [2, 3, 4, 0, 1]
    order = [first]
    for _ in range(5):
        finish(system, order[-1])
        (now,) = [
            launch for launch in (*crowd, second, third) if running(system) == [launch.spec.removesuffix("/HEAD")]
        ]
        order.append(now)
    assert [launch.spec for launch in order] == [f"{name}/HEAD" for name in ("o/a", "p/a", "q/a", "o/b", "o/c", "o/d")]


def test_waiting_builds_start_in_turns_between_owners() -> None:
    system = system_with(slots=1, owner_builds=1)
    (first,) = come(system, ONE, "o/a")
    come(system, TWO, "o/b")
    come(system, THREE, "p/a")
    finish(system, first)
    assert running(system) == ["p/a"]


def test_one_owner_never_uses_every_slot() -> None:
    system = system_with(owner_builds=1)
    come(system, ONE, "o/a")
    come(system, TWO, "o/b")
    assert running(system) == ["o/a"]
    come(system, THREE, "p/a")
    assert running(system) == ["o/a", "p/a"]


def test_a_build_denied_the_last_slot_starts_when_another_of_its_client_ends() -> None:
    system = system_with()
    first, *_ = come(system, ONE, "o/a", "o/b")
    finish(system, first)
    assert running(system) == ["o/b"]


def test_prebuilds_wait_behind_visitors_of_any_client() -> None:
    system = system_with(slots=1)
    (first,) = come(system, ONE, "o/a")
    come(system, TWO, "p/a", build_only=True)
    come(system, ONE, "o/b")
    finish(system, first)
    assert running(system) == ["o/b"]


def test_clients_of_this_machine_are_served_in_order_of_arrival() -> None:
    system = system_with(owner_builds=1, client_line=1, owner_line=1)
    come(system, OWN_MACHINE, "o/a", "o/b", "o/c", "o/d", "o/e")
    assert running(system) == ["o/a", "o/b"]


def test_the_waiting_builds_of_a_client_are_limited() -> None:
    system = system_with(slots=1)
    first, *rest = come(system, ONE, "o/a", "o/b", "o/c", "o/d", "o/e")
    refused = rest[-1].failure
    assert refused
    assert (refused.kind, refused.facts) == (TooManyBuilds.__name__, {"limit": 3})
    assert [launch.stage for launch in rest[:-1]] == [Stage.BUILDING] * 3
    finish(system, first)
    assert come(system, ONE, "o/f")[0].stage is Stage.BUILDING
    assert come(system, ONE, "o/g")[0].stage is Stage.FAILED


def test_a_refused_launch_claims_nothing() -> None:
    system = system_with(slots=1, client_line=1)
    come(system, ONE, "o/a", "o/b", "o/c")
    assert come(system, TWO, "o/c")[0].attempt == 1
    assert system.bindery.state.slots.waiting() == 2


def test_a_client_at_its_limit_may_wait_for_the_build_of_another() -> None:
    system = system_with(slots=1, client_line=1)
    come(system, TWO, "p/a")
    come(system, ONE, "o/a")
    assert come(system, ONE, "p/a")[0].stage is Stage.BUILDING


def test_the_waiting_builds_of_an_owner_are_limited_over_all_clients() -> None:
    system = system_with(slots=1, owner_line=1)
    come(system, ONE, "o/a", "o/b")
    refused = come(system, TWO, "o/c")[0].failure
    assert refused
    assert (refused.kind, refused.facts["limit"]) == (OwnerBuildsReached.__name__, 1)
    assert come(system, TWO, "p/a")[0].stage is Stage.BUILDING


def pull_requests(system: InMemorySystem, repository: str, count: int, *, tree: bool = True) -> list[str]:
    """Return links to `count` pull requests with different contents. tree: False if the host does not list their files."""
    names = []
    for number in range(count):
        commit = f"{number:x}".rjust(40, "f")
        system.host.heads[f"{repository}/pull/{number}"] = commit
        system.host.files[commit] = {"requirements.txt": b"%d" % number} if tree else None
        names.append(f"{repository}/pull/{number}")
    return names


def come_each(system: InMemorySystem, *repositories: str) -> list[Launch]:
    """Open one launch of each repository, each by another client."""
    return [come(system, f"198.51.100.{number}", name)[0] for number, name in enumerate(repositories)]


@pytest.mark.parametrize("tree", [True, False])
def test_foreign_commits_do_not_use_the_owners_places_in_line(tree: bool) -> None:
    system = system_with(slots=1, owner_line=2)
    come(system, ONE, "p/a")
    *_, refused = come_each(system, *pull_requests(system, "o/a", 3, tree=tree))
    assert refused.failure
    assert refused.failure.kind == OwnerBuildsReached.__name__
    assert "pull requests and forks" in str(refused.failure.facts["owner"])
    own = [*come(system, TWO, "o/a"), *come(system, THREE, "o/b")]
    assert [launch.stage for launch in own] == [Stage.BUILDING] * 2


def test_the_owners_commits_do_not_use_the_places_of_pull_requests() -> None:
    system = system_with(slots=1, owner_line=1)
    come(system, ONE, "o/a", "o/b")
    assert come_each(system, *pull_requests(system, "o/a", 2))[0].stage is Stage.BUILDING


def test_a_commit_that_its_host_finds_on_a_branch_is_not_foreign() -> None:
    system = system_with(slots=1, owner_line=1)
    come(system, ONE, "p/a")
    foreign, own = pull_requests(system, "o/a", 2, tree=False)
    system.host.own.add(system.host.heads[own])
    assert [launch.stage for launch in come_each(system, foreign, own)] == [Stage.BUILDING] * 2


def test_commits_of_a_private_repository_are_never_foreign() -> None:
    system = system_with(slots=1, owner_line=1)
    come(system, ONE, "p/a")
    foreign, private = *pull_requests(system, "o/a", 1), *pull_requests(system, "o/b", 1)
    system.host.private = frozenset({private})
    assert [launch.stage for launch in come_each(system, foreign, private)] == [Stage.BUILDING] * 2
    assert system.host.looked_up == [system.host.heads[foreign]]


def test_a_building_foreign_commit_does_not_deny_its_owner_the_last_slot() -> None:
    system = system_with(owner_builds=1)
    (foreign,) = come_each(system, *pull_requests(system, "o/a", 1))
    come(system, TWO, "o/b")
    assert running(system) == [foreign.spec.rpartition("/")[0], "o/b"]


def test_foreign_commits_do_not_use_the_turns_of_their_owner() -> None:
    system = system_with(slots=1, owner_builds=1)
    come(system, ONE, "p/a")
    first, second, third = come_each(system, *pull_requests(system, "o/a", 3))
    (own,) = come(system, TWO, "o/b")
    assert system.queue_positions(first, own, second, third) == [0, 1, 2, 3]


def test_concurrent_claims_of_foreign_commits_are_all_counted() -> None:
    system = system_with(slots=1, owner_line=1)
    come(system, ONE, "p/a")
    launches = [
        system.bindery.open_launch(replace(REQUEST, spec=spec_of(name), client=client)).launch
        for name, client in zip(pull_requests(system, "o/a", 2), (TWO, THREE), strict=True)
    ]
    one, two = [sent.message for sent in system.take()]

    def other_first(operation: str, keys: object) -> None:
        if operation == "transact" and "environment#" in str(keys):
            system.table.before = lambda operation, keys: None
            system.handle(two)

    system.table.before = other_first
    system.handle(one)
    assert {system.launch(launch).stage for launch in launches} == {Stage.BUILDING, Stage.FAILED}


def test_concurrent_claims_are_all_counted() -> None:
    system = system_with(slots=1, client_line=1)
    come(system, TWO, "p/a")
    first, second = [
        system.bindery.open_launch(replace(REQUEST, spec=spec, client=ONE)).launch for spec in ("o/a/HEAD", "o/b/HEAD")
    ]
    one, two = [sent.message for sent in system.take()]

    def other_first(operation: str, keys: object) -> None:
        if operation == "transact" and "environment#" in str(keys):
            system.table.before = lambda operation, keys: None
            system.handle(two)

    system.table.before = other_first
    system.handle(one)
    assert {system.launch(first).stage, system.launch(second).stage} == {Stage.BUILDING, Stage.FAILED}


def test_nothing_is_written_for_disabled_limits() -> None:
    system = system_with(client_builds=None, client_line=None)
    come(system, ONE, "o/a", "o/b", "o/c")
    assert running(system) == ["o/a", "o/b"]
    assert not [item for item in system.table.items() if item.sk in ("round", "builds")]
