"""The keys of environments with builds that can read `.git`. They depend on the commit and the tags, not only on the tree."""

from dataclasses import replace

import pytest

from bindery.domain.environment import Identity, Scope
from bindery.domain.errors import HostUnreachable
from bindery.domain.repository import Repository, Tree
from bindery.state.environment_keys import TAGS_SECONDS, Commits
from bindery.usecases.steps.identify_environment import IdentifyEnvironment
from bindery_local.sqlite_table import SqliteTable
from tests.fakes.builds import FakeBuilds
from tests.fakes.clock import FakeClock
from tests.fakes.host import FakeHost
from tests.fakes.queue import FakeQueue

FIRST, SECOND = "1" * 40, "2" * 40
PACKAGE: dict[str, bytes] = {"setup.py": b"setup()\n"}
PLAIN: dict[str, bytes] = {"requirements.txt": b"numpy\n"}


class SameTree(FakeHost):
    """A host with one tree for all commits."""

    def tree(self, repository: Repository) -> Tree | None:
        tree = super().tree(repository)
        return replace(tree, id="4" * 40) if tree else None


class Case:
    """A repository with two commits that have identical files."""

    def __init__(self, files: dict[str, bytes] | None) -> None:
        self.clock = FakeClock()
        self.host = SameTree(files={FIRST: files, SECOND: files})
        self.identify = IdentifyEnvironment(FakeBuilds(FakeQueue()), Commits(SqliteTable(None), self.clock))

    def identity(self, commit: str = FIRST) -> Identity:
        self.host.heads["o/r"] = commit
        return self.identify(self.host, self.host.resolve("o/r/HEAD").repository)


@pytest.mark.parametrize(("files", "scope"), [(PACKAGE, Scope.TREE), (None, Scope.COMMIT)])
def test_the_key_of_a_build_that_can_read_git_contains_commit_and_tags(
    files: dict[str, bytes] | None, scope: Scope
) -> None:
    case = Case(files)
    first = case.identity()
    assert first.scope is scope
    assert case.identity(SECOND).key != first.key
    case.host.tagged = "v1.0"
    assert case.identity().key == first.key  # the tags were listed a moment ago
    case.clock.advance(TAGS_SECONDS + 1)
    tagged = case.identity()
    assert tagged.key != first.key
    assert tagged.inputs["tags"] == "v1.0"
    assert tagged.inputs["commit"] == FIRST


def test_the_key_of_configuration_files_contains_no_commit_and_needs_no_tags() -> None:
    case = Case(PLAIN)
    assert case.identity().key == case.identity(SECOND).key
    assert case.host.tags_listed == 0


def test_tags_are_listed_at_intervals_for_all_commits_of_a_repository() -> None:
    case = Case(PACKAGE)
    for commit in (FIRST, SECOND, FIRST):
        case.identity(commit)
    assert case.host.tags_listed == 1


def test_the_last_known_tags_are_used_while_the_host_does_not_answer() -> None:
    case = Case(PACKAGE)
    repository = case.host.resolve("o/r/HEAD").repository.model_copy(update={"ref": FIRST})
    case.host.tagged = "v1.0"
    before = case.identify(case.host, repository)
    case.clock.advance(TAGS_SECONDS + 1)
    case.host.trouble = HostUnreachable(host="h", why="silence")
    assert case.identify(case.host, repository).key == before.key


def test_without_known_tags_an_unreachable_host_is_an_error() -> None:
    case = Case(PACKAGE)
    repository = case.host.resolve("o/r/HEAD").repository.model_copy(update={"ref": FIRST})
    case.host.trouble = HostUnreachable(host="h", why="silence")
    with pytest.raises(HostUnreachable):
        case.identify(case.host, repository)
