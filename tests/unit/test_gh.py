"""The provider `gh` against recorded answers and a loopback API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.adapters.hosts.github.provider import GitHubProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    HostLimited,
    HostUnreachable,
    RefNotFound,
    RepositoryEmpty,
    RepositoryNotFound,
    RepositoryTooLarge,
    Stale,
)
from bindery.domain.repository import Entry, Repository
from bindery.ports.table import Item, Table
from bindery_local.sqlite_table import SqliteTable
from tests.fakes.clock import FakeClock
from tests.serving.git_http import File, git, make_repository
from tests.serving.github_api import HOST, GitHubServer
from tests.serving.host_api import RECORDINGS, Reply

RECORDED = "jupyterhub/zero-to-jupyterhub-k8s"
needs_recordings = pytest.mark.skipif(
    not (RECORDINGS / f"{HOST}.json").exists(), reason=f"no recordings beside the project: {HOST}"
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GitHubServer]:
    make_repository(tmp_path / "r", {"README.md": "hi\n", "run": File("#!/bin/sh\n", 0o100755), "lib/a.py": "1\n"})
    with GitHubServer({"o/r": tmp_path / "r"}) as server:
        yield server


def provider(api: GitHubServer, table: Table, clock: FakeClock, token: str = "", *also: str) -> GitHubProvider:
    client = GuardedClient([api.address, *also])
    return GitHubProvider(client, table, clock, api_url=api.url, url="https://github.com", token=token)


@pytest.fixture
def gh(api: GitHubServer, table: Table, clock: FakeClock) -> GitHubProvider:
    return provider(api, table, clock)


@needs_recordings
@pytest.mark.parametrize(
    ("ref", "commit"),
    [
        ("0.9.1", "38e50c71130fcf56655685f0992f4f125bef3879"),
        ("HEAD", "4931711ef6661f45f9fbba6780200d36d735dde8"),
        ("f7f3ff6d1bf708bdc12e5f10e18b2a90a4795603", "f7f3ff6d1bf708bdc12e5f10e18b2a90a4795603"),
    ],
)
def test_recorded_refs_resolve(gh: GitHubProvider, ref: str, commit: str) -> None:
    repository = gh.resolve(f"{RECORDED}/{ref}").repository
    assert repository.ref == commit
    assert repository.resolved_spec == f"{RECORDED}/{commit}"
    assert repository.repo_url == f"https://github.com/{RECORDED}"
    assert repository.ref_url == f"https://github.com/{RECORDED}/tree/{commit}"


@needs_recordings
@pytest.mark.parametrize("ref", ["nosuchref", "v0.1.2.3.4.5.6"])
def test_recorded_refusals_mean_a_missing_ref(gh: GitHubProvider, ref: str) -> None:
    with pytest.raises(RefNotFound) as caught:
        gh.resolve(f"{RECORDED}/{ref}")
    assert caught.value.facts["ref"] == ref


def test_a_short_commit_becomes_the_full_one(gh: GitHubProvider) -> None:
    full = gh.resolve("o/r/HEAD").repository.ref
    assert gh.resolve(f"o/r/{full[:8]}").repository.ref == full


def test_an_unchanged_ref_is_requested_with_its_etag_without_using_the_quota(
    gh: GitHubProvider, api: GitHubServer
) -> None:
    first = gh.resolve("o/r/main")
    assert gh.resolve("o/r/main") == first
    assert [request.status for request in api.requests if request.path.startswith("/repos/o/r/")] == [200, 304]


def test_functions_share_cached_answers(gh: GitHubProvider, api: GitHubServer, table: Table, clock: FakeClock) -> None:
    first = gh.resolve("o/r/main")
    assert provider(api, table, clock).resolve("o/r/main") == first
    assert api.requests[-1].status == 304


def test_a_moved_branch_is_noticed_at_once(gh: GitHubProvider, api: GitHubServer) -> None:
    first = gh.resolve("o/r/main").repository.ref
    moved = make_repository(api.repositories["o/r"], {"README.md": "new\n"})
    assert gh.resolve("o/r/main").repository.ref == moved != first


def test_a_full_commit_is_requested_once_even_under_a_rate_limit(
    gh: GitHubProvider, api: GitHubServer, table: Table, clock: FakeClock
) -> None:
    commit = gh.resolve("o/r/HEAD").repository.ref
    gh.resolve(f"o/r/{commit}")
    api.limited_until = int(clock.time) + 600
    count = len(api.requests)
    assert provider(api, table, clock).resolve(f"o/r/{commit}").repository.ref == commit
    assert len(api.requests) == count


def test_cached_answers_expire(gh: GitHubProvider, api: GitHubServer, clock: FakeClock) -> None:
    gh.resolve("o/r/HEAD")
    clock.time += 40 * 24 * 3600
    gh.resolve("o/r/HEAD")
    assert [request.status for request in api.requests] == [200, 200]


def test_a_rate_limit_is_reported_with_its_end(gh: GitHubProvider, api: GitHubServer, clock: FakeClock) -> None:
    api.limited_until = int(clock.time) + 600
    with pytest.raises(HostLimited) as caught:
        gh.resolve("o/r/HEAD")
    assert caught.value.facts == {"host": "127.0.0.1", "at": clock.time + 600}


def test_a_secondary_rate_limit_is_reported_with_its_end(
    gh: GitHubProvider, api: GitHubServer, clock: FakeClock
) -> None:
    api.replies["/repos/o/r/commits/HEAD"] = Reply(403, {"message": "secondary rate limit"}, {"Retry-After": "60"})
    with pytest.raises(HostLimited) as caught:
        gh.resolve("o/r/HEAD")
    assert caught.value.facts["at"] == clock.time + 60


@pytest.mark.parametrize("status", [401, 403, 404, 451])
def test_a_repository_without_permission_is_not_found(gh: GitHubProvider, api: GitHubServer, status: int) -> None:
    api.replies["/repos/o/r/commits/HEAD"] = Reply(status, {"message": "no"})
    with pytest.raises(RepositoryNotFound) as caught:
        gh.resolve("o/r/HEAD")
    assert caught.value.facts == {"url": "https://github.com/o/r"}


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_host_with_server_errors_is_unreachable(gh: GitHubProvider, api: GitHubServer, status: int) -> None:
    api.replies["/repos/o/r/commits/HEAD"] = Reply(status)
    with pytest.raises(HostUnreachable):
        gh.resolve("o/r/HEAD")


@pytest.mark.parametrize(
    "body", [None, [], {}, {"sha": "x", "commit": {"tree": {"sha": "y"}}}, {"sha": 1, "commit": []}]
)
def test_an_invalid_answer_is_an_error_of_the_host(gh: GitHubProvider, api: GitHubServer, body: object) -> None:
    api.replies["/repos/o/r/commits/HEAD"] = Reply(200, body)
    with pytest.raises(HostUnreachable):
        gh.resolve("o/r/HEAD")


def test_an_empty_repository_is_reported_as_empty(gh: GitHubProvider, api: GitHubServer, tmp_path: Path) -> None:
    git("init", "--quiet", "--bare", tmp_path / "empty")
    api.repositories["o/empty"] = tmp_path / "empty"
    with pytest.raises(RepositoryEmpty):
        gh.resolve("o/empty/main")


@pytest.mark.parametrize("token", ["", "t0ken"])
def test_a_renamed_repository_is_followed(api: GitHubServer, table: Table, clock: FakeClock, token: str) -> None:
    api.renamed["old/name"] = "o/r"
    api.tokens.add("t0ken")
    gh = provider(api, table, clock, token)
    assert gh.resolve("old/name/HEAD").repository.ref == gh.resolve("o/r/HEAD").repository.ref


def test_the_token_is_sent_to_the_api_only(api: GitHubServer, table: Table, clock: FakeClock) -> None:
    api.tokens.add("t0ken")
    with GitHubServer() as elsewhere:
        elsewhere.replies["/x"] = Reply(404)
        moved = Reply(301, None, {"Location": f"{elsewhere.url}/x"})
        api.replies["/repos/o/r/commits/away"] = moved
        gh = provider(api, table, clock, "t0ken", elsewhere.address)
        gh.resolve("o/r/HEAD")
        with pytest.raises(RepositoryNotFound):
            gh.resolve("o/r/away")
        assert [request.headers.get("authorization") for request in api.requests] == ["Bearer t0ken"] * 4
        assert [request.headers.get("authorization") for request in elsewhere.requests] == [None]


def test_a_refused_token_is_not_sent_again(api: GitHubServer, table: Table, clock: FakeClock) -> None:
    provider(api, table, clock, "expired").resolve("o/r/HEAD")
    requests = [(each.status, "authorization" in each.headers) for each in api.requests]
    assert requests == [(401, True), (200, False), (200, False)]  # the token is not sent again so soon


def test_a_truncated_listing_is_ignored(gh: GitHubProvider, api: GitHubServer) -> None:
    repository = gh.resolve("o/r/HEAD").repository
    assert gh.tree(repository) is not None
    api.truncated = True
    assert gh.tree(repository) is None


def test_a_function_that_did_not_resolve_can_get_the_listing(
    gh: GitHubProvider, api: GitHubServer, table: Table, clock: FakeClock
) -> None:
    repository = gh.resolve("o/r/HEAD").repository
    assert provider(api, SqliteTable(None), clock).tree(repository) == gh.tree(repository)


@pytest.mark.parametrize(("mode", "sha"), [("rwx", "1" * 40), ("100644", "../../x"), ("100644\n", "1" * 40)])
def test_a_listing_with_invalid_entries_is_an_error_of_the_host(
    gh: GitHubProvider, api: GitHubServer, mode: str, sha: str
) -> None:
    repository = gh.resolve("o/r/HEAD").repository
    root = git("-C", api.repositories["o/r"], "rev-parse", "HEAD^{tree}").decode().strip()
    entry = {"path": "a", "mode": mode, "type": "blob", "sha": sha}
    api.replies[f"/repos/o/r/git/trees/{root}"] = Reply(200, {"tree": [entry], "truncated": False})
    with pytest.raises(HostUnreachable):
        gh.tree(repository)


def test_a_file_over_the_limit_is_too_large(gh: GitHubProvider, api: GitHubServer) -> None:
    make_repository(api.repositories["o/r"], {"big": "x" * 1_000_001, "huge": "x" * 3_000_000})
    repository = gh.resolve("o/r/HEAD").repository
    tree = gh.tree(repository)
    assert tree is not None
    for name in ("big", "huge"):
        with pytest.raises(RepositoryTooLarge):
            gh.read(repository, tree.entries[name])


def test_a_file_with_other_content_is_refused(gh: GitHubProvider, api: GitHubServer) -> None:
    repository = gh.resolve("o/r/HEAD").repository
    api.replies[f"/repos/o/r/git/blobs/{'1' * 40}"] = Reply(200, {"size": 1, "encoding": "base64", "content": "eA=="})
    api.replies[f"/repos/o/r/git/blobs/{'2' * 40}"] = Reply(200, {"size": 1, "encoding": "base64", "content": "!"})
    api.replies[f"/repos/o/r/git/blobs/{'3' * 40}"] = Reply(200, {"size": 1, "encoding": "base64", "content": "abc"})
    for blob in ("1" * 40, "2" * 40, "3" * 40):
        with pytest.raises(HostUnreachable):
            gh.read(repository, Entry("a", 0o100644, blob))


def test_a_concurrent_write_to_the_cache_is_no_error(api: GitHubServer, clock: FakeClock) -> None:
    class Contended(SqliteTable):
        def put(self, item: Item) -> Item:
            raise Stale

    table = Contended(None)
    assert provider(api, table, clock).resolve("o/r/HEAD").repository.ref
    table.close()


@pytest.fixture
def found(gh: GitHubProvider, api: GitHubServer) -> Repository:
    """Return a commit, named by its id, that is not the newest of any branch."""
    first = gh.resolve("o/r/HEAD").repository
    make_repository(api.repositories["o/r"], {"x": "y"})
    return gh.resolve(first.resolved_spec).repository


def test_the_check_for_a_branch_takes_three_requests_with_the_token(
    api: GitHubServer, table: Table, clock: FakeClock, found: Repository
) -> None:
    api.tokens = {"s3cret"}
    api.requests.clear()
    assert provider(api, table, clock, "s3cret").on_branch_or_tag(found)
    tip = git("-C", api.repositories["o/r"], "rev-parse", "HEAD").decode().strip()
    paths = [request.path.partition("?")[0] for request in api.requests if request.path != "/repos/o/r"]
    assert paths == [
        f"/repos/o/r/commits/{found.ref}/branches-where-head",
        "/repos/o/r/commits/HEAD",
        f"/repos/o/r/compare/{tip}...{found.ref}",
    ]
    assert {request.headers.get("authorization") for request in api.requests} == {"Bearer s3cret"}


@pytest.mark.parametrize("status", ["ahead", "diverged", "", "of a new kind"])
def test_only_a_commit_behind_the_tip_is_in_the_history(
    gh: GitHubProvider, api: GitHubServer, found: Repository, status: str
) -> None:
    tip = git("-C", api.repositories["o/r"], "rev-parse", "HEAD").decode().strip()
    assert gh.on_branch_or_tag(found)
    api.replies[f"/repos/o/r/compare/{tip}...{found.ref}"] = Reply(200, {"status": status})
    assert not gh.on_branch_or_tag(found)


def test_a_comparison_that_is_too_large_counts_as_negative(
    gh: GitHubProvider, api: GitHubServer, found: Repository
) -> None:
    tip = git("-C", api.repositories["o/r"], "rev-parse", "HEAD").decode().strip()
    large = {"status": "behind", "files": ["x" * 5_000_000]}
    api.replies[f"/repos/o/r/compare/{tip}...{found.ref}"] = Reply(200, large)
    assert not gh.on_branch_or_tag(found)


@pytest.mark.parametrize("question", ["commits/{}/branches-where-head", "compare/{1}...{0}"])
def test_a_failing_or_rate_limited_host_gives_no_result(
    gh: GitHubProvider, api: GitHubServer, clock: FakeClock, found: Repository, question: str
) -> None:
    tip = git("-C", api.repositories["o/r"], "rev-parse", "HEAD").decode().strip()
    path = f"/repos/o/r/{question.format(found.ref, tip)}"
    for reply in (Reply(500, {}), Reply(200, "not of this shape")):
        api.replies[path] = reply
        with pytest.raises(HostUnreachable):
            gh.on_branch_or_tag(found)
    api.replies[path] = Reply(403, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(clock.time) + 60)})
    with pytest.raises(HostLimited):
        gh.on_branch_or_tag(found)


def test_commits_of_a_renamed_repository_are_found(gh: GitHubProvider, api: GitHubServer, found: Repository) -> None:
    api.renamed["old/name"] = "o/r"
    assert gh.on_branch_or_tag(gh.resolve(f"old/name/{found.ref}").repository)
