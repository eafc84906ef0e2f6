"""Tests of `gh` with a token. Every way to name a commit leads to one build, and the token goes only to the API."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.serving import git_http
from tests.serving.git_http import File, GitServer, git, make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.kernel import Session
from tests.serving.runtime import LocalRuntime

NAME = "octo/cat"
TOKEN = "ghp_t0ken0t0ken0t0ken"
ENVIRONMENT = "#!/bin/sh\nenv\necho said it all\n"


class Listening(git_http._Handler):
    """A git server that keeps every request header."""

    requests: list[str] = []

    def parse_request(self) -> bool:
        well = super().parse_request()
        if well:
            self.requests.append(f"{self.path}\n{self.headers}")
        return well


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with GitServer(tmp_path_factory.mktemp("clones")) as server:
        server._server.RequestHandlerClass = Listening
        folder = server.root / NAME
        folder.parent.mkdir()
        make_repository(folder, {"README.md": "main\n", "requirements.txt": ""})
        yield server


@pytest.fixture(scope="module")
def github(clones: GitServer) -> Iterator[GitHubServer]:
    with GitHubServer({NAME: clones.root / NAME}) as server:
        server.tokens.add(TOKEN)
        yield server


@pytest.fixture(scope="module")
def runtime(
    clones: GitServer, github: GitHubServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRuntime]:
    with LocalRuntime(
        tmp_path_factory.mktemp("github-token") / "home",
        allowed_private_hosts=f"{github.address},{clones.address}",
        github_api_url=github.url,
        github_url=f"http://{clones.address}",
        github_token=TOKEN,
        log_level="DEBUG",
        reconcile_seconds="2",
    ) as runtime:
        yield runtime


def test_all_names_of_a_commit_share_one_environment(runtime: LocalRuntime, clones: GitServer) -> None:
    folder = clones.root / NAME
    main = git("-C", folder, "rev-parse", "main").decode().strip()
    topic = make_repository(folder, {"README.md": "topic\n", "requirements.txt": ""}, branch="topic/of-the-day")
    git("-C", folder, "tag", "v1.0", main)
    git("-C", folder, "update-ref", "refs/tags/v2", topic)
    names = {"HEAD": main, "main": main, "topic/of-the-day": topic, "v1.0": main, "v2": topic, topic[:7]: topic}
    for ref, commit in {**names, main: main}.items():
        launched = runtime.launch(f"{NAME}/{ref}", provider="gh", build_only="true")
        assert launched.last.phase == "ready", launched.last.message
        response = runtime.client.post(
            "/api/launches", json={"provider": "gh", "spec": f"{NAME}/{ref}", "build_only": True}
        )
        token = response.json()["launcher_token"]
        address = f"/api/launches/{response.json()['id']}"
        while (state := runtime.get(address, Authorization=f"Bearer {token}").json())["phase"] not in {
            "ready",
            "failed",
        }:
            time.sleep(0.05)
        assert state["ref"] == commit
    assert runtime.total("binderhub_build_count_total") == 1


def test_the_token_is_sent_to_the_api_only_and_never_shown(
    runtime: LocalRuntime, github: GitHubServer, clones: GitServer
) -> None:
    make_repository(clones.root / NAME, {"postBuild": File(ENVIRONMENT, 0o100755)}, branch="curious")
    launched = runtime.launch(f"{NAME}/curious", provider="gh")
    assert launched.last.phase == "ready", launched.last.message
    assert "said it all" in launched.text
    session = Session.of(launched.last.data)
    assert session.run("import os; print('PATH' in os.environ)") == "True\n"
    output = session.run("import os; print(dict(os.environ))")
    assert {request.headers.get("authorization") for request in github.requests} == {f"Bearer {TOKEN}"}
    assert len(Listening.requests) > 1
    for where in (launched.text, output, runtime.log, runtime.errors.read_text(), *Listening.requests):
        assert TOKEN not in where
        assert "BINDERY_GITHUB_TOKEN" not in where
    written = [path for path in runtime.home.rglob("*") if path.is_file() and "site-packages" not in path.parts]
    assert runtime.home / "table.sqlite" in written
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []


def test_a_refused_token_is_never_shown(runtime: LocalRuntime, github: GitHubServer, clones: GitServer) -> None:
    github.tokens.clear()
    make_repository(clones.root / NAME, {"README.md": "later\n"}, branch="later")
    launched = runtime.launch(f"{NAME}/later", provider="gh", build_only="true")
    missing = runtime.launch("octo/none/HEAD", provider="gh")
    github.tokens.add(TOKEN)
    assert launched.last.phase == "ready", launched.last.message
    assert missing.phases == ["failed"]
    assert TOKEN not in launched.text + missing.text + runtime.log


def test_a_rate_limit_is_reported_with_its_end_and_cached_refs_still_launch(
    runtime: LocalRuntime, github: GitHubServer, clones: GitServer
) -> None:
    main = git("-C", clones.root / NAME, "rev-parse", "main").decode().strip()
    assert runtime.launch(f"{NAME}/{main}", provider="gh", build_only="true").last.phase == "ready"
    github.limited_until = int(time.time()) + 3600
    try:
        failed = runtime.launch(f"{NAME}/not-asked-for-yet", provider="gh")
        unchanged = runtime.launch(f"{NAME}/{main}", provider="gh", build_only="true")
        by_etag = runtime.launch(f"{NAME}/main", provider="gh", build_only="true")
    finally:
        end, github.limited_until = github.limited_until, None
    assert failed.phases == ["failed"]
    assert f"{datetime.fromtimestamp(end, UTC):%H:%M} UTC" in failed.last.message
    assert unchanged.last.phase == by_etag.last.phase == "ready"
    assert "if-none-match" in github.requests[-1].headers
