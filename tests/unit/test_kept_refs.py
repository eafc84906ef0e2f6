"""The kept answers about refs: the names under which they are kept, their lifetime, and the events that end it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.github.gist import GistProvider
from bindery.adapters.hosts.github.provider import GitHubProvider
from bindery.adapters.hosts.gitlab import GitLabProvider
from bindery.adapters.hosts.ref_cache import COMMIT_SECONDS, KEPT_SECONDS, Facts, KeptRefs
from bindery.adapters.hosts.rest_api import ApiAnswer
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import RepositoryBlocked, RepositoryGone, RepositoryNotFound
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable
from tests.serving.git_http import make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.gitlab_api import GitLabServer
from tests.serving.host_api import Reply

COMMIT = "c" * 40


class Host:
    """A host where every ref leads to COMMIT while the repository exists. etags: the ETags of the requests it got."""

    def __init__(self) -> None:
        self.exists = True
        self.etags: list[str] = []

    def __call__(self, etag: str) -> ApiAnswer:
        self.etags.append(etag)
        if not self.exists:
            raise RepositoryNotFound(url="u")
        return ApiAnswer(None, etag, unchanged=True) if etag else ApiAnswer(COMMIT.encode(), "e")


def read(body: bytes) -> dict[str, str]:
    return {"commit": body.decode()}


@pytest.fixture
def refs(table: DictTable, clock: FakeClock) -> KeptRefs:
    return KeptRefs(table, clock, "gh#https://api.example")


@pytest.fixture
def host() -> Host:
    return Host()


def ask(refs: KeptRefs, host: Host, repository: str, ref: str) -> Facts | None:
    return refs.facts(repository, ref, host, read)


def test_a_branch_is_requested_each_time_with_its_etag(refs: KeptRefs, host: Host, clock: FakeClock) -> None:
    for seconds in (0, 0, KEPT_SECONDS - 1, 2):
        clock.advance(seconds)
        facts = ask(refs, host, "o/r", "main")
        assert facts
        assert facts["commit"] == COMMIT
    assert host.etags == ["", "e", "e", ""]


def test_a_full_commit_id_is_requested_once_a_day(refs: KeptRefs, host: Host, clock: FakeClock) -> None:
    for seconds, count in ((0, 1), (COMMIT_SECONDS - 1, 1), (2, 2), (0, 2)):
        clock.advance(seconds)
        assert ask(refs, host, "o/r", COMMIT)
        assert len(host.etags) == count


def test_answers_of_a_deleted_repository_are_removed_and_others_remain(
    refs: KeptRefs, host: Host, table: DictTable
) -> None:
    own_refs = [COMMIT, *(f"b{number}" for number in range(250))]  # more than one query returns
    others = ["o", "o/r2", "o/r/x", "o/r%2fx"]
    for ref in own_refs:
        ask(refs, host, "o/r", ref)
    for name in others:
        ask(refs, host, name, COMMIT)
    host.exists = False
    with pytest.raises(RepositoryNotFound):
        ask(refs, host, "o/r", "HEAD")
    assert len(table.items()) == len(others)
    for name in others:
        assert ask(refs, host, name, COMMIT), name
    with pytest.raises(RepositoryNotFound):
        ask(refs, host, "o/r", COMMIT)


@pytest.mark.parametrize(("status", "items"), [(401, 1), (403, 1), (404, 0), (410, 0), (451, 0)])
def test_answers_of_a_repository_that_is_only_refused_remain(
    table: DictTable, tmp_path: Path, status: int, items: int
) -> None:
    """GitHub answers clients that send too many requests with a bare 403 too, so a 403 does not mean a missing repository."""
    commit = make_repository(tmp_path / "r", {"README.md": ""})
    with GitHubServer({"o/r": tmp_path / "r"}) as server:
        provider, spec = on_github(server, table)
        provider.resolve(spec.format(commit))
        server.replies["/repos/o/r/commits/HEAD"] = Reply(status)
        with pytest.raises(RepositoryNotFound) as caught:
            provider.resolve(spec.format("HEAD"))
    kinds: dict[int, type[RepositoryNotFound]] = {410: RepositoryGone, 451: RepositoryBlocked}
    assert type(caught.value) is kinds.get(status, RepositoryNotFound)
    assert len(table.items()) == items


def test_similar_names_of_repositories_and_refs_have_different_keys(refs: KeptRefs, host: Host) -> None:
    pairs = [("g/p", f"x/{COMMIT}"), ("g/p/x", COMMIT), ("g", f"p/x/{COMMIT}"), ("g%2fp/x", COMMIT)]
    for repository, ref in pairs:
        ask(refs, host, repository, ref)
    assert host.etags == [""] * len(pairs)


def test_the_longest_names_fit_into_a_key(refs: KeptRefs, host: Host) -> None:
    """The longest names are those of GitLab, with twenty nested groups."""
    namespace = "/".join(["g" * 32] * 20 + ["p" * 40])
    assert len(namespace) == 700
    assert ask(refs, host, namespace, "r" * 255)


def test_concurrent_lookups_of_one_ref_send_one_request(refs: KeptRefs, host: Host) -> None:
    going = threading.Event()

    def slow(etag: str) -> ApiAnswer:
        answer = host(etag)
        going.wait(20)
        return answer

    with ThreadPoolExecutor(8) as visitors:
        answers = [visitors.submit(refs.facts, "o/r", "main", slow, read) for _ in range(8)]
        while not host.etags:
            time.sleep(0.01)  # no event reports that the first request has begun
        time.sleep(0.3)  # time in which the others could ask too
        going.set()
        assert all(each.result() for each in answers)
    assert host.etags == [""]


def on_github(server: GitHubServer | GitLabServer, table: Table) -> tuple[RepositoryProvider, str]:
    provider = GitHubProvider(GuardedClient([server.address]), table, SystemClock(), api_url=server.url)
    return provider, "o/r/{}"


def on_gitlab(server: GitHubServer | GitLabServer, table: Table) -> tuple[RepositoryProvider, str]:
    provider = GitLabProvider(GuardedClient([server.address]), table, SystemClock(), url=server.url)
    return provider, quote("o/r", safe="") + "/{}"


def on_gists(server: GitHubServer | GitLabServer, table: Table) -> tuple[RepositoryProvider, str]:
    return GistProvider(GuardedClient([server.address]), table, SystemClock(), api_url=server.url), "o/abc/{}"


@pytest.mark.parametrize("make", [on_github, on_gitlab, on_gists])
def test_repositories_of_two_servers_are_not_confused(
    make: Callable[[GitHubServer | GitLabServer, Table], tuple[RepositoryProvider, str]], tmp_path: Path
) -> None:
    commit = make_repository(tmp_path / "r", {"README.md": ""})
    kind = GitLabServer if make is on_gitlab else GitHubServer
    with kind({"o/r": tmp_path / "r"}) as first, kind() as second:
        if isinstance(first, GitHubServer):
            first.gists["abc"] = tmp_path / "r"
        table = DictTable()
        provider, spec = make(first, table)
        assert provider.resolve(spec.format(commit)).repository.ref == commit
        with pytest.raises(RepositoryNotFound):
            make(second, table)[0].resolve(spec.format(commit))
