"""Tests of `gh` from the link to the session. An API and a git server of this machine are in GitHub's place."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.git_http import GitServer, make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.kernel import Session
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime, until

NAME = "owner/repository"


@pytest.fixture(scope="module")
def github(git_server: GitServer) -> Iterator[GitHubServer]:
    folder = git_server.root / f"{NAME}.git"
    folder.parent.mkdir()
    make_repository(folder, {"README.md": "from GitHub\n"})
    (git_server.root / NAME).symlink_to(folder)  # clone addresses work without .git, too
    with GitHubServer({NAME: folder}) as server:
        yield server


@pytest.fixture(scope="module")
def with_github(
    github: GitHubServer, git_server: GitServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRuntime]:
    home: Path = tmp_path_factory.mktemp("github") / "home"
    hosts = f"{github.address},{git_server.address}"
    with LocalRuntime(
        home,
        allowed_private_hosts=hosts,
        github_api_url=github.url,
        github_url=f"http://{git_server.address}",
        reconcile_seconds="2",
    ) as runtime:
        yield runtime


def test_a_link_to_github_becomes_a_session_at_its_commit(
    with_github: LocalRuntime, github: GitHubServer, git_server: GitServer
) -> None:
    commit = make_repository(git_server.root / f"{NAME}.git", {"README.md": "now\n"})
    launched = with_github.launch(f"{NAME}/HEAD", provider="gh")
    assert launched.last.phase == "ready", launched.last.message
    assert launched.last.data["binder_persistent_request"] == f"v2/gh/{NAME}/{commit}"
    assert launched.last.data["repo_url"] == f"http://{git_server.address}/{NAME}"
    session = Session.of(launched.last.data)
    assert session.run("print(open('README.md').read(), end='')") == "now\n"
    until(lambda: with_github.total("binderhub_launch_count_total", provider="gh", status="success") == 1)

    count = len(github.requests)
    short = with_github.launch(f"{NAME}/{commit[:8]}", provider="gh", build_only="true")
    assert short.phases == ["built", "ready"]
    assert all(commit not in each.path or "trees" not in each.path for each in github.requests[count:])

    count = len(github.requests)
    again = with_github.launch(f"{NAME}/HEAD", provider="gh", build_only="true")
    assert again.phases == ["built", "ready"]
    assert [each.status for each in github.requests[count:]] == [304], "what has not changed is not sent again"


def test_a_missing_master_means_the_default_branch_with_a_note(with_github: LocalRuntime, github: GitHubServer) -> None:
    launched = with_github.launch(f"{NAME}/master", provider="gh", build_only="true")
    assert launched.last.phase == "ready"
    assert launched.events[0].phase == "waiting"
    assert "There is no branch master" in launched.events[0].message


def test_a_ref_or_repository_missing_at_github_is_reported(with_github: LocalRuntime, github: GitHubServer) -> None:
    for spec, word in ((f"{NAME}/nowhere", "nowhere"), ("owner/none/HEAD", "owner/none")):
        failed = with_github.launch(spec, provider="gh")
        assert failed.phases == ["failed"]
        assert word in failed.last.message
        check_readable(failed.last.message)


def test_a_rate_limit_of_github_is_reported_with_its_end(with_github: LocalRuntime, github: GitHubServer) -> None:
    github.limited_until = int(time.time()) + 1800
    failed = with_github.launch(f"{NAME}/another-branch", provider="gh")
    github.limited_until = None
    assert failed.phases == ["failed"]
    assert "lets us ask again at" in failed.last.message
    assert "UTC" in failed.last.message
    check_readable(failed.last.message)


def test_the_oldest_kind_of_link_launches(with_github: LocalRuntime, github: GitHubServer) -> None:
    page = with_github.client.get(f"/repo/{NAME}", follow_redirects=True)
    assert page.status_code == 200
    assert str(page.url).endswith(f"/v2/gh/{NAME}/master")
    assert "GitHub" in page.text
