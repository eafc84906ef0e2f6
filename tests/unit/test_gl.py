"""The provider `gl` against recorded answers and a loopback API."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.gitlab import GitLabProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadSpec, HostLimited, HostUnreachable, RefNotFound, RepositoryNotFound
from bindery.ports.table import Table
from tests.serving.git_http import git, make_repository
from tests.serving.gitlab_api import HOST, GitLabServer
from tests.serving.host_api import RECORDINGS, Reply

RECORDED = "gitlab-org%2Fgitlab-foss"
NESTED = "group/sub.group/deeper/r"
COMMITS = f"/api/v4/projects/{quote(NESTED, safe='')}/repository/commits"
needs_recordings = pytest.mark.skipif(
    not (RECORDINGS / f"{HOST}.json").exists(), reason=f"no recordings beside the project: {HOST}"
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[GitLabServer]:
    make_repository(tmp_path / "r", {"README.md": "hi\n"})
    with GitLabServer({NESTED: tmp_path / "r"}) as server:
        yield server


def provider(lab: GitLabServer, table: Table, token: str = "", *also: str) -> GitLabProvider:
    return GitLabProvider(GuardedClient([lab.address, *also]), table, SystemClock(), url=lab.url, token=token)


@pytest.fixture
def gl(lab: GitLabServer, table: Table) -> GitLabProvider:
    return provider(lab, table)


def spec(ref: str, name: str = NESTED) -> str:
    return f"{quote(name, safe='')}/{ref}"


@needs_recordings
@pytest.mark.parametrize(
    ("ref", "commit"),
    [
        ("v10.0.6", "b3344b7f17c335a817c5d7608c5e47fd7cabc023"),
        ("HEAD", "2a9d2b119a87b8411993096a22d41a3eb857e8c1"),
    ],
)
def test_recorded_refs_resolve(gl: GitLabProvider, lab: GitLabServer, ref: str, commit: str) -> None:
    repository = gl.resolve(f"{RECORDED}/{ref}").repository
    assert (repository.ref, repository.resolved_spec) == (commit, f"{RECORDED}/{commit}")
    assert repository.clone_url == f"{lab.url}/gitlab-org/gitlab-foss.git"
    assert repository.repo_url == f"{lab.url}/gitlab-org/gitlab-foss"
    assert repository.ref_url == f"{lab.url}/gitlab-org/gitlab-foss/-/tree/{commit}"


@needs_recordings
def test_a_recorded_refusal_means_a_missing_ref(gl: GitLabProvider) -> None:
    with pytest.raises(RefNotFound) as caught:
        gl.resolve(f"{RECORDED}/nosuchref")
    assert caught.value.facts == {"spec": "gitlab-org/gitlab-foss", "ref": "nosuchref"}


def test_nested_groups_and_branches_with_slashes_resolve(gl: GitLabProvider, lab: GitLabServer) -> None:
    folder = lab.projects[NESTED]
    git("-C", folder, "branch", "feature/x")
    repository = gl.resolve(spec("feature/x")).repository
    assert repository.resolved_spec == f"group%2Fsub.group%2Fdeeper%2Fr/{repository.ref}"
    assert repository.ref == git("-C", folder, "rev-parse", "main").decode().strip()
    assert gl.resolve(spec(repository.ref[:8])).repository.ref == repository.ref


def test_the_page_of_a_merge_request_leads_to_its_source_commit(gl: GitLabProvider, lab: GitLabServer) -> None:
    """The API accepts the name of any ref, as git does, although its documentation mentions only branches and tags."""
    folder = lab.projects[NESTED]
    git("-C", folder, "branch", "proposed")
    git("-C", folder, "update-ref", "refs/merge-requests/12/head", "proposed")
    detected = gl.detect(f"{lab.url}/{NESTED}/-/merge_requests/12/diffs")
    assert detected
    commit = git("-C", folder, "rev-parse", "proposed").decode().strip()
    assert gl.resolve(detected.spec).repository.ref == commit


def test_a_missing_project_is_distinguished_from_a_missing_ref(gl: GitLabProvider) -> None:
    with pytest.raises(RefNotFound):
        gl.resolve(spec("nowhere"))
    with pytest.raises(RepositoryNotFound) as caught:
        gl.resolve(spec("HEAD", "group/none"))
    assert str(caught.value.facts["url"]).endswith("/group/none")


@pytest.mark.parametrize("body", ["404 Project Not Found", [], {"error": "404"}, {"message": {"a": "b"}}])
def test_a_404_without_a_ref_means_a_missing_project(gl: GitLabProvider, lab: GitLabServer, body: object) -> None:
    lab.replies[f"{COMMITS}/main"] = Reply(404, body)
    with pytest.raises(RepositoryNotFound):
        gl.resolve(spec("main"))


def test_an_unencoded_project_is_refused_with_its_encoding(gl: GitLabProvider) -> None:
    with pytest.raises(BadSpec) as caught:
        gl.check("gitlab-org/gitlab-foss/HEAD")
    assert "%2F" in str(caught.value.facts["why"])


def test_an_unchanged_ref_is_requested_with_its_etag_and_a_commit_once(gl: GitLabProvider, lab: GitLabServer) -> None:
    repository = gl.resolve(spec("main")).repository
    gl.resolve(spec("main"))
    assert [request.status for request in lab.requests] == [200, 304]
    gl.resolve(spec(repository.ref))
    gl.resolve(spec(repository.ref))
    assert len(lab.requests) == 3


def test_cached_answers_of_another_server_are_not_used(lab: GitLabServer, table: Table) -> None:
    repository = provider(lab, table).resolve(spec("main")).repository
    provider(lab, table).resolve(spec(repository.ref))
    elsewhere = GitLabProvider(GuardedClient(), table, SystemClock(), url="https://gitlab.example.invalid")
    with pytest.raises(HostUnreachable):
        elsewhere.resolve(spec(repository.ref))


def test_a_rate_limit_is_reported_with_its_end_and_respected(gl: GitLabProvider, lab: GitLabServer) -> None:
    gl.resolve(spec("main"))
    lab.limited_until = int(time.time()) + 600
    for ref in ("HEAD", "main", "HEAD"):
        try:
            gl.resolve(spec(ref))
        except HostLimited as error:
            assert float(error.facts["at"]) == pytest.approx(lab.limited_until, abs=2)
        else:
            pytest.fail("what has us wait is asked again")
    assert [request.status for request in lab.requests] == [200, 429]


def test_the_token_is_sent_to_the_server_only(lab: GitLabServer, table: Table) -> None:
    lab.tokens.add("t0ken")
    with GitLabServer() as elsewhere:
        lab.replies[f"{COMMITS}/away"] = Reply(301, None, {"Location": f"{elsewhere.url}/x"})
        gl = provider(lab, table, "t0ken", elsewhere.address)
        resolved = gl.resolve(spec("main"))
        with pytest.raises(RepositoryNotFound):
            gl.resolve(spec("away"))
        assert [request.headers.get("authorization") for request in lab.requests] == ["Bearer t0ken"] * 4
        assert elsewhere.requests
        assert [sorted(each.headers) for each in elsewhere.requests if "t0ken" in str(each)] == []
    assert "t0ken" not in str(resolved)
    assert "t0ken" not in lab.requests[0].path


@pytest.mark.parametrize("body", [None, [], {}, {"id": "x"}, {"id": 1}, {"id": "1" * 41}])
def test_an_invalid_answer_is_an_error_of_the_host(gl: GitLabProvider, lab: GitLabServer, body: object) -> None:
    lab.replies[f"{COMMITS}/main"] = Reply(200, body)
    with pytest.raises(HostUnreachable):
        gl.resolve(spec("main"))


@pytest.mark.parametrize("name", ["Evil/Group/Repo", "evil/group/repo.git", "/evil/group/repo/", "EVIL/group/repo.GIT"])
def test_a_project_has_one_name_in_rules_and_quotas(gl: GitLabProvider, lab: GitLabServer, name: str) -> None:
    assert gl.canonical(spec("Feature%2Fx", name)) == "evil/group/repo/Feature/x"
    assert gl.check(spec("HEAD", name)) == f"{lab.url}/evil/group/repo"
