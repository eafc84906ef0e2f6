"""The spellings of a repository's name in links. All of them share the repository's keys, counters and limits."""

import pytest

from bindery.domain.launch import Stage
from bindery.domain.owners import build_share_of
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.many import REPOSITORY

STRANGERS = "e" * 40
SPELLINGS = ("o/r", "O/r", "o/R", "O/R")


def test_all_spellings_have_one_environment_and_one_build() -> None:
    system = InMemorySystem()
    launches = [system.ready(f"{name}/HEAD") for name in SPELLINGS]
    assert len({launch.environment for launch in launches}) == 1
    assert len(system.builds.started) == 1


def test_a_build_of_the_whole_tree_is_shared_by_all_spellings() -> None:
    system = InMemorySystem()
    system.host.files[COMMIT] = {"setup.py": b"setup()\n"}
    assert len({system.ready(f"{name}/HEAD").environment for name in SPELLINGS}) == 1
    assert system.host.tags_listed == 1


def test_a_foreign_commit_has_one_environment_under_all_spellings() -> None:
    system = InMemorySystem()
    system.host.files[STRANGERS] = {"requirements.txt": b"evil\n"}
    assert len({system.ready(f"{name}/{STRANGERS}").environment for name in SPELLINGS}) == 1
    assert system.host.looked_up == [STRANGERS]


def test_the_branch_of_a_commit_is_looked_up_once_for_all_spellings() -> None:
    system = InMemorySystem(own_refs_only=True)
    system.host.files[STRANGERS] = {"requirements.txt": b"evil\n"}
    for name in SPELLINGS:
        system.open(f"{name}/{STRANGERS}")
    system.pump()
    assert system.host.looked_up == [STRANGERS]


def test_the_builds_of_an_owner_share_one_limit_under_all_spellings() -> None:
    host = InMemorySystem().host
    assert len({build_share_of(host.resolve(f"{name}/HEAD").repository) for name in SPELLINGS}) == 1


def test_all_spellings_of_a_git_address_have_one_owner() -> None:
    canonical = REPOSITORY.model_copy(update={"provider": "git", "canonical_url": "https://git.example/o/r"})
    addresses = ("https://git.example/o/r", "https://GIT.example:443/o/r.git", "https://git.example/%6F/r")
    spellings = [canonical.model_copy(update={"clone_url": url, "repo_url": url}) for url in addresses]
    assert {build_share_of(each) for each in spellings} == {"https://git.example/o"}


def test_the_sessions_of_a_repository_share_one_limit_under_all_spellings() -> None:
    system = InMemorySystem(quota_per_repository=2)
    for name in SPELLINGS[:2]:
        system.ready(f"{name}/HEAD")
    refused = system.open(f"{SPELLINGS[2]}/HEAD")
    system.pump()
    assert system.launch(refused).stage is Stage.FAILED


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_session_shows_the_repository_name_as_spelled_in_the_link(name: str) -> None:
    system = InMemorySystem()
    system.ready("o/r/HEAD")
    launch = system.ready(f"{name}/HEAD")
    assert launch.repository
    assert launch.repository.repo_url == f"https://host.example/{name}"
    assert launch.repository.clone_url == f"https://host.example/{name}.git"
