"""Tests of `gl` and `gist` from the link to the session. Servers of this machine are in the hosts' places."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.git_http import GitServer, make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.gitlab_api import GitLabServer
from tests.serving.kernel import Session
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime

PROJECT = "group/sub/project"
GIST = "0123456789abcdef0123456789abcdef"
SECRET = "fedcba9876543210fedcba9876543210"


@pytest.fixture(scope="module")
def lab(git_server: GitServer) -> Iterator[GitLabServer]:
    folder = git_server.root / PROJECT
    folder.parent.mkdir(parents=True)
    make_repository(folder, {"README.md": "from GitLab\n"})
    with GitLabServer({PROJECT: folder}, clones=git_server.url("").rstrip("/")) as server:
        yield server


@pytest.fixture(scope="module")
def gists(git_server: GitServer) -> Iterator[GitHubServer]:
    folder = git_server.root / "o"
    folder.mkdir(exist_ok=True)
    with GitHubServer() as server:
        for gist in (GIST, SECRET):
            make_repository(folder / f"{gist}.git", {"a.txt": f"gist {gist[0]}\n"})
            server.gists[gist] = folder / f"{gist}.git"
        server.secret.add(SECRET)
        yield server


@pytest.fixture(scope="module")
def runtime(
    lab: GitLabServer, gists: GitHubServer, git_server: GitServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRuntime]:
    home: Path = tmp_path_factory.mktemp("hosts") / "home"
    with LocalRuntime(
        home,
        allowed_private_hosts=f"{lab.address},{gists.address},{git_server.address}",
        gitlab_url=lab.url,
        github_api_url=gists.url,
        gist_url=f"http://{git_server.address}",
        reconcile_seconds="2",
    ) as runtime:
        yield runtime


def test_a_project_in_nested_groups_becomes_a_session_at_its_commit(runtime: LocalRuntime, lab: GitLabServer) -> None:
    commit = make_repository(lab.projects[PROJECT], {"README.md": "now\n", "binder/requirements.txt": ""})
    launched = runtime.launch("group%2Fsub%2Fproject/main", provider="gl")
    assert launched.last.phase == "ready", launched.last.message
    assert launched.last.data["binder_persistent_request"] == f"v2/gl/group%2Fsub%2Fproject/{commit}"
    assert launched.last.data["repo_url"] == f"{lab.url}/{PROJECT}"
    session = Session.of(launched.last.data)
    assert session.run("print(open('README.md').read(), end='')") == "now\n"

    make_repository(lab.projects[PROJECT], {"README.md": "later\n", "binder/requirements.txt": ""})
    again = runtime.launch("group%2Fsub%2Fproject/HEAD", provider="gl", build_only="true")
    assert again.phases == ["built", "ready"], "what configures the environment has not changed"


def test_a_gist_becomes_a_session_at_its_newest_revision(
    runtime: LocalRuntime, gists: GitHubServer, git_server: GitServer
) -> None:
    launched = runtime.launch(f"o/{GIST}", provider="gist")
    assert launched.last.phase == "ready", launched.last.message
    assert launched.last.data["repo_url"] == f"http://{git_server.address}/o/{GIST}"
    session = Session.of(launched.last.data)
    assert session.run("print(open('a.txt').read(), end='')") == "gist 0\n"


def test_a_secret_gist_is_refused_with_its_reason(runtime: LocalRuntime, gists: GitHubServer) -> None:
    failed = runtime.launch(f"o/{SECRET}/master", provider="gist")
    assert failed.phases == ["failed"]
    assert "secret gist" in failed.last.message
    check_readable(failed.last.message)


def test_pages_of_a_self_hosted_gitlab_can_be_pasted(runtime: LocalRuntime, lab: GitLabServer) -> None:
    payload = runtime.client.get("/api/detect", params={"url": f"{lab.url}/{PROJECT}/-/blob/main/README.md"}).json()
    assert (payload["provider"], payload["spec"], payload["path"]) == ("gl", "group%2Fsub%2Fproject/main", "README.md")
    page = runtime.client.get(payload["link"])
    assert page.status_code == 200
    assert "GitLab: group%2Fsub%2Fproject/main" in page.text
