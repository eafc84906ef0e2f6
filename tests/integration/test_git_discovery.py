"""The `git` provider greets a server once in a while, not before each question."""

from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.hosts.git import REMEMBERED_SECONDS, GitProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import RefNotFound
from tests.fakes.clock import FakeClock
from tests.serving.git_http import GitServer, git, make_repository

GREETING = "GET /demo/info/refs?service=git-upload-pack"


def greetings(server: GitServer) -> int:
    return server.requests.count(GREETING)


def test_a_recently_contacted_git_server_is_queried_without_a_new_greeting(tmp_path: Path) -> None:
    first = make_repository(tmp_path / "demo", {"a": "1"})
    clock = FakeClock()
    with GitServer(tmp_path) as server:
        provider = GitProvider(GuardedClient((server.address,)), clock)
        spec = f"{quote(server.url('demo'), safe='')}/HEAD"
        assert provider.resolve(spec).repository.ref == first
        second = make_repository(tmp_path / "demo", {"a": "2"})
        assert provider.resolve(spec).repository.ref == second
        assert provider.resolve(spec.replace("HEAD", first)).repository.ref == first
        assert greetings(server) == 1
        clock.advance(REMEMBERED_SECONDS)
        assert provider.resolve(spec).repository.ref == second
        assert greetings(server) == 2


def test_a_moved_repository_is_found_again(tmp_path: Path) -> None:
    make_repository(tmp_path / "demo", {"a": "1"})
    with GitServer(tmp_path) as server:
        provider = GitProvider(GuardedClient((server.address,)), FakeClock())
        spec = f"{quote(server.url('demo'), safe='')}/HEAD"
        provider.resolve(spec)
        (tmp_path / "demo").rename(tmp_path / "moved")
        place = server.url("moved/info/refs?service=git-upload-pack")
        server.answers["/demo/info/refs"] = (301, {"Location": place})
        assert provider.resolve(spec).repository.ref
        assert greetings(server) == 2


def test_a_missing_ref_is_looked_up_once_more_and_then_refused(tmp_path: Path) -> None:
    make_repository(tmp_path / "demo", {"a": "1"})
    with GitServer(tmp_path) as server:
        provider = GitProvider(GuardedClient((server.address,)), FakeClock())
        at = quote(server.url("demo"), safe="")
        provider.resolve(f"{at}/HEAD")
        with pytest.raises(RefNotFound):
            provider.resolve(f"{at}/nowhere")
        assert greetings(server) == 2


def test_the_repository_address_can_be_cloned_and_has_one_canonical_spelling(
    tmp_path: Path,
) -> None:
    commit = make_repository(tmp_path / "demo.git", {"a": "1"})
    with GitServer(tmp_path) as server:
        provider = GitProvider(GuardedClient((server.address,)), FakeClock())
        spec = f"{quote(server.url('demo.git'), safe='')}/HEAD"
        repository = provider.resolve(spec).repository
        assert repository.repo_url == server.url("demo.git")  # not every server takes the name without .git
        assert git("ls-remote", repository.repo_url, "HEAD").decode().split() == [commit, "HEAD"]
        assert provider.check(spec) == provider.check(spec.replace("demo.git", "demo"))
