"""The provider `gist` against a loopback API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.github.gist import GistProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import HostUnreachable, RefNotFound, RepositoryNotFound, SecretGist
from bindery.ports.table import Table
from tests.serving.git_http import git, make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.host_api import Reply

GIST = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GitHubServer]:
    make_repository(tmp_path / "g", {"a.ipynb": "{}"})
    with GitHubServer() as server:
        server.gists[GIST] = tmp_path / "g"
        yield server


def provider(api: GitHubServer, table: Table, *, secret: bool = False, token: str = "") -> GistProvider:
    client = GuardedClient([api.address])
    return GistProvider(client, table, SystemClock(), api_url=api.url, token=token, secret=secret)


@pytest.fixture
def gists(api: GitHubServer, table: Table) -> GistProvider:
    return provider(api, table)


def tip(api: GitHubServer) -> str:
    return git("-C", api.gists[GIST], "rev-parse", "HEAD").decode().strip()


@pytest.mark.parametrize("ref", ["", "/", "/HEAD", "/master", "/main"])
def test_a_gist_without_a_revision_means_the_newest(gists: GistProvider, api: GitHubServer, ref: str) -> None:
    resolved = gists.resolve(f"o/{GIST}{ref}")
    commit = tip(api)
    assert (resolved.note, resolved.repository.ref) == ("", commit)
    assert resolved.repository.resolved_spec == f"o/{GIST}/{commit}"
    assert resolved.repository.clone_url == f"https://gist.github.com/o/{GIST}.git"
    assert resolved.repository.repo_url == f"https://gist.github.com/o/{GIST}"
    assert resolved.repository.ref_url == f"https://gist.github.com/o/{GIST}/{commit}"


def test_every_old_revision_can_be_launched(gists: GistProvider, api: GitHubServer) -> None:
    first = tip(api)
    for count in range(31):  # the host lists thirty
        make_repository(api.gists[GIST], {"a.ipynb": str(count)})
    assert gists.resolve(f"o/{GIST}/{first}").repository.ref == first
    assert gists.resolve(f"o/{GIST}/HEAD").repository.ref == tip(api)


@pytest.mark.parametrize("ref", ["1" * 40, "feature", "0a1b2c3d", "master/x"])
def test_an_unknown_revision_is_not_found(gists: GistProvider, ref: str) -> None:
    with pytest.raises(RefNotFound) as caught:
        gists.resolve(f"o/{GIST}/{ref}")
    assert caught.value.facts == {"spec": f"o/{GIST}", "ref": ref}


def test_a_revision_of_a_missing_gist_is_reported_as_a_missing_gist(gists: GistProvider) -> None:
    with pytest.raises(RepositoryNotFound):
        gists.resolve(f"o/{GIST[::-1]}/{'1' * 40}")


def test_secret_gists_are_launched_only_with_permission_of_the_operator(api: GitHubServer, table: Table) -> None:
    api.secret.add(GIST)
    for ref in ("HEAD", tip(api), tip(api)):  # a kept answer does not bypass the check
        with pytest.raises(SecretGist) as caught:
            provider(api, table).resolve(f"o/{GIST}/{ref}")
        assert caught.value.facts == {"spec": f"o/{GIST}"}
    assert provider(api, table, secret=True).resolve(f"o/{GIST}").repository.ref == tip(api)


def test_a_gist_is_launched_under_the_name_of_its_owner_only(gists: GistProvider, api: GitHubServer) -> None:
    assert gists.resolve(f"O/{GIST}").repository.ref == tip(api)
    for ref in ("HEAD", tip(api), tip(api)):
        with pytest.raises(RepositoryNotFound):
            gists.resolve(f"somebody/{GIST}/{ref}")


def test_a_gist_without_an_owner_is_anonymous(gists: GistProvider, api: GitHubServer) -> None:
    api.owner = None
    assert gists.resolve(f"anonymous/{GIST}").repository.ref == tip(api)


def test_an_unchanged_gist_is_requested_with_its_etag_and_a_revision_once(
    gists: GistProvider, api: GitHubServer, table: Table
) -> None:
    for ref in ("HEAD", "master", "main", ""):
        gists.resolve(f"o/{GIST}/{ref}")
    assert [request.status for request in api.requests] == [200, 304, 304, 304]
    for _ in range(2):
        provider(api, table).resolve(f"o/{GIST}/{tip(api)}")
    assert [request.status for request in api.requests[4:]] == [200]


def test_the_token_is_sent_with_requests(api: GitHubServer, table: Table) -> None:
    api.tokens.add("t0ken")
    provider(api, table, token="t0ken").resolve(f"o/{GIST}")
    assert [request.headers.get("authorization") for request in api.requests] == ["Bearer t0ken"]


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"public": True, "history": []},
        {"public": True, "history": [{"version": "x"}]},
        {"public": "?", "history": [{"version": "1" * 40}]},
    ],
)
def test_an_invalid_answer_is_an_error_of_the_host(gists: GistProvider, api: GitHubServer, body: object) -> None:
    api.replies[f"/gists/{GIST}"] = Reply(200, body)
    with pytest.raises(HostUnreachable):
        gists.resolve(f"o/{GIST}")


@pytest.mark.parametrize("name", [f"User/{GIST}", f"user/{GIST}.git", f"USER/{GIST.upper()}", f"%75ser/{GIST}"])
def test_a_gist_has_one_name_in_rules_and_quotas(gists: GistProvider, name: str) -> None:
    assert gists.canonical(f"{name}/master") == f"user/{GIST}/master"
    assert gists.canonical(name) == f"user/{GIST}/HEAD"
    assert gists.check(name) == f"https://gist.github.com/user/{GIST}"
