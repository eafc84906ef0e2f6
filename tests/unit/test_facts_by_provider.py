"""A repository that two providers lead to. Each uses its own facts about commits, and both share environments."""

from bindery.domain.environment import Scope
from bindery.domain.repository import Repository
from bindery.state.environment_keys import Commits
from bindery.usecases.steps.identify_environment import IdentifyEnvironment
from bindery.usecases.steps.know_commit import KnowCommit
from bindery_local.sqlite_table import SqliteTable
from tests.fakes.builds import FakeBuilds
from tests.fakes.clock import FakeClock
from tests.fakes.host import COMMIT, FakeHost
from tests.fakes.queue import FakeQueue

FILES: dict[str, bytes] = {"requirements.txt": b"numpy\n"}
PACKAGE: dict[str, bytes] = {"setup.py": b"setup()\n"}


class Case:
    """A provider for git links and GitLab's own provider, with one table."""

    def __init__(self, *, by_git: dict[str, bytes] | None = FILES, by_api: dict[str, bytes] | None = FILES) -> None:
        self.git = FakeHost(id="git", files={COMMIT: by_git})
        self.gl = FakeHost(id="gl", files={COMMIT: by_api}, own={COMMIT})
        self.commits = Commits(SqliteTable(None), FakeClock())
        self.identify = IdentifyEnvironment(FakeBuilds(FakeQueue()), self.commits)
        self.know_commit = KnowCommit(self.commits)


def commit(host: FakeHost) -> Repository:
    return host.resolve(f"o/r/{COMMIT}").repository


def test_a_commit_that_git_lists_as_no_tip_is_looked_up_in_the_history_of_gitlab() -> None:
    case = Case()
    assert not case.know_commit(case.git, commit(case.git)).on_branch_or_tag
    assert case.know_commit(case.gl, commit(case.gl)).on_branch_or_tag
    assert case.gl.looked_up == [COMMIT]
    assert not case.know_commit(case.git, commit(case.git)).on_branch_or_tag


def test_a_tree_that_git_cannot_list_is_requested_from_gitlab() -> None:
    case = Case(by_git=None)
    assert case.identify(case.git, commit(case.git)).scope is Scope.COMMIT
    assert case.identify(case.gl, commit(case.gl)).scope is Scope.FILES


def test_an_environment_is_shared_by_all_providers_of_its_repository() -> None:
    case = Case()
    assert case.identify(case.git, commit(case.git)).key == case.identify(case.gl, commit(case.gl)).key


def test_tags_are_listed_once_for_all_providers_of_a_repository() -> None:
    case = Case(by_git=PACKAGE, by_api=PACKAGE)
    assert case.identify(case.git, commit(case.git)).key == case.identify(case.gl, commit(case.gl)).key
    assert case.git.tags_listed + case.gl.tags_listed == 1
