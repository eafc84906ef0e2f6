"""Private repositories that a host's token can see: launched if the operator permits it, and otherwise reported as missing."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.git.protocol import Remote
from bindery.adapters.hosts.github.provider import GitHubProvider
from bindery.adapters.hosts.gitlab import GitLabProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.environment import Identity, Scope
from bindery.domain.errors import BinderyError, HostLimited, RefNotFound, RepositoryNotFound
from bindery.ports.table import Table
from bindery.state.environment_keys import Commits
from bindery.usecases.steps.identify_environment import IdentifyEnvironment
from bindery_builder.contents.copying import Source
from bindery_local.sqlite_table import SqliteTable
from tests.fakes.builds import FakeBuilds
from tests.fakes.queue import FakeQueue
from tests.serving.git_http import make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.gitlab_api import GitLabServer

TOKEN = "t0ken0t0ken"


@dataclass
class Host:
    """A host with `acme/secret`, which only clients with the token see, and the public `acme/open`."""

    id: str
    server: GitHubServer | GitLabServer
    table: Table
    secret: str

    def provider(self, *private: str, token: str = TOKEN) -> GitHubProvider | GitLabProvider:
        client, clock = GuardedClient([self.server.address]), SystemClock()
        if self.id == "gl":
            return GitLabProvider(client, self.table, clock, url=self.server.url, token=token, private=private)
        return GitHubProvider(client, self.table, clock, api_url=self.server.url, token=token, private=private)

    def spec(self, name: str, ref: str = "HEAD") -> str:
        return f"{quote(name, safe='') if self.id == 'gl' else name}/{ref}"

    def says(self, provider: GitHubProvider | GitLabProvider, spec: str) -> BinderyError:
        with pytest.raises((RefNotFound, RepositoryNotFound)) as caught:
            provider.resolve(spec)
        return caught.value


@pytest.fixture(params=["gh", "gl"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    secret = make_repository(tmp_path / "secret", {"requirements.txt": ""})
    make_repository(tmp_path / "open", {"requirements.txt": ""})
    names = {"acme/secret": tmp_path / "secret", "acme/open": tmp_path / "open"}
    kind = GitLabServer if request.param == "gl" else GitHubServer
    table = SqliteTable(None)
    with kind(names) as server:
        server.tokens.add(TOKEN)
        server.private.add("acme/secret")
        yield Host(request.param, server, table, secret)
    table.close()


@pytest.mark.parametrize("allowed", ["{}/acme/secret", "{}/Acme/*", "{}/ACME/Secret"])
def test_a_private_repository_that_the_operator_names_is_launched_as_private(host: Host, allowed: str) -> None:
    for _ in range(2):  # the second time from the kept answer
        assert host.provider(allowed.format(host.id)).resolve(host.spec("acme/secret")).repository.private


def test_a_public_repository_is_not_private(host: Host) -> None:
    assert not host.provider("gh/acme/*", "gl/acme/*").resolve(host.spec("acme/open")).repository.private


@pytest.mark.parametrize("ref", ["HEAD", "main", "master", "nowhere", "a" * 40, "the commit"])
@pytest.mark.parametrize(
    "allowed", [(), ("{}/acme/open", "{}/acme/secrets", "{}/acm/*", "{}/acme/sec", "{other}/acme/*")]
)
def test_other_private_repositories_have_the_same_error_as_missing_ones(
    host: Host, ref: str, allowed: Sequence[str]
) -> None:
    ref = host.secret if ref == "the commit" else ref
    other = "gh" if host.id == "gl" else "gl"
    provider = host.provider(*(each.format(host.id, other=other) for each in allowed))
    secret = host.says(provider, host.spec("acme/secret", ref))
    absent = host.says(provider, host.spec("acme/absent", ref))
    assert type(secret) is type(absent) is RepositoryNotFound
    names = [unquote(each.path).partition("acme/")[2].split("/")[0] for each in host.server.requests]
    assert names.count("secret") == names.count("absent"), "as many questions, so as much time"
    assert secret.facts["url"] == str(absent.facts["url"]).replace("absent", "secret")


def test_a_repository_that_becomes_public_is_launched_at_once(host: Host) -> None:
    provider = host.provider()
    host.says(provider, host.spec("acme/secret"))
    host.server.private.clear()
    assert provider.resolve(host.spec("acme/secret")).repository.ref == host.secret


@pytest.mark.parametrize("ref", ["HEAD", "the commit"])
def test_a_repository_no_longer_named_is_not_launched_from_the_cache(host: Host, ref: str) -> None:
    spec = host.spec("acme/secret", host.secret if ref == "the commit" else ref)
    assert host.provider("gh/acme/*", "gl/acme/*").resolve(spec).repository.private
    assert type(host.says(host.provider(), spec)) is RepositoryNotFound


def test_without_a_token_the_visibility_is_not_requested(host: Host) -> None:
    provider = host.provider(token="")
    provider.resolve(host.spec("acme/open"))
    assert type(host.says(provider, host.spec("acme/open", "nowhere"))) is RefNotFound
    assert [each.path for each in host.server.requests if "/commits/" not in each.path] == []
    assert type(host.says(provider, host.spec("acme/secret"))) is RepositoryNotFound


def test_an_unchanged_public_repository_uses_no_request_quota(host: Host) -> None:
    for _ in range(3):
        host.provider().resolve(host.spec("acme/open"))
    assert [each.status for each in host.server.requests] == [200, 200, 304, 304, 304, 304]


@pytest.mark.parametrize("ref", ["HEAD", "the commit"])
def test_a_repository_that_becomes_private_is_not_launched_from_the_cache(host: Host, ref: str) -> None:
    spec = host.spec("acme/secret", host.secret if ref == "the commit" else ref)
    host.server.private.clear()
    assert not host.provider().resolve(spec).repository.private
    host.server.private.add("acme/secret")
    for _ in range(2):
        assert type(host.says(host.provider(), spec)) is RepositoryNotFound


def test_without_a_token_cached_answers_of_a_now_private_repository_are_dropped(host: Host) -> None:
    host.server.private.clear()
    for ref in ("HEAD", "main", host.secret):
        host.provider(token="").resolve(host.spec("acme/secret", ref))
    host.server.private.add("acme/secret")
    for ref in ("HEAD", host.secret):
        assert type(host.says(host.provider(token=""), host.spec("acme/secret", ref))) is RepositoryNotFound


def test_a_rate_limit_does_not_reveal_that_a_private_repository_exists(host: Host) -> None:
    """A repository that is kept with an ETag could be requested all the same, which would reveal that it exists."""
    names = ("acme/secret", "acme/absent")
    for name in names:
        host.says(host.provider(), host.spec(name))
    host.server.limited_until = int(SystemClock().now()) + 600
    for name in names:
        with pytest.raises(HostLimited):
            host.provider().resolve(host.spec(name))


def test_a_named_repository_that_becomes_private_is_launched_as_private(host: Host) -> None:
    host.server.private.clear()
    assert not host.provider().resolve(host.spec("acme/secret")).repository.private
    host.server.private.add("acme/secret")
    assert host.provider("gh/acme/secret", "gl/acme/secret").resolve(host.spec("acme/secret")).repository.private


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_a_named_repository_that_becomes_public_is_launched_as_public(host: Host, token: str) -> None:
    host.provider("gh/acme/*", "gl/acme/*").resolve(host.spec("acme/secret"))
    host.server.private.clear()
    assert not host.provider(token=token).resolve(host.spec("acme/secret")).repository.private


def test_a_private_repository_is_not_launched_from_the_cache_without_its_token(host: Host) -> None:
    spec = host.spec("acme/secret", host.secret)
    host.provider("gh/acme/*", "gl/acme/*").resolve(spec)
    with pytest.raises(RepositoryNotFound):
        host.provider("gh/acme/*", "gl/acme/*", token="").resolve(spec)


def test_an_unchanged_named_repository_uses_no_request_quota(host: Host) -> None:
    for _ in range(3):
        host.provider("gh/acme/*", "gl/acme/*").resolve(host.spec("acme/secret"))
    assert [each.status for each in host.server.requests] == [200, 200, 304, 304, 304, 304]


def test_a_token_refused_for_a_public_repository_is_omitted(host: Host) -> None:
    about = "/api/v4/projects/acme%2Fopen" if host.id == "gl" else "/repos/acme/open"
    host.server.forbidden.add(about)
    assert host.provider().resolve(host.spec("acme/open")).repository.ref


def test_with_a_refused_token_only_public_repositories_are_found(host: Host) -> None:
    host.server.tokens.clear()
    provider = host.provider("gh/acme/*", "gl/acme/*")
    assert not provider.resolve(host.spec("acme/open")).repository.private
    assert type(host.says(provider, host.spec("acme/secret"))) is RepositoryNotFound


def test_an_app_that_briefly_has_no_token_reveals_no_private_repository(tmp_path: Path) -> None:
    make_repository(tmp_path / "r", {"README.md": ""})
    with GitHubServer({"acme/secret": tmp_path / "r"}) as server:
        server.tokens.add(TOKEN)
        server.private.add("acme/secret")
        for pair in (("", TOKEN), (TOKEN, "")):
            tokens = iter(pair)
            table, client = SqliteTable(None), GuardedClient([server.address])
            gh = GitHubProvider(client, table, SystemClock(), api_url=server.url, token=lambda: next(tokens, TOKEN))  # noqa: B023
            for _ in range(3):
                with pytest.raises(RepositoryNotFound):
                    gh.resolve("acme/secret/HEAD")


def test_a_repository_moved_to_an_owner_that_is_not_named_is_not_launched(tmp_path: Path) -> None:
    make_repository(tmp_path / "r", {"README.md": ""})
    with GitHubServer({"elsewhere/vault": tmp_path / "r"}) as server:
        server.tokens.add(TOKEN)
        server.private.add("elsewhere/vault")
        server.renamed["acme/gone"] = "elsewhere/vault"
        host = Host("gh", server, SqliteTable(None), "")
        assert type(host.says(host.provider("gh/acme/*"), "acme/gone/HEAD")) is RepositoryNotFound
        assert host.provider("gh/acme/gone", "gh/elsewhere/vault").resolve("acme/gone/HEAD").repository.private


@pytest.mark.parametrize("visibility", ["internal", "private"])
def test_a_project_without_public_visibility_is_private(tmp_path: Path, visibility: str) -> None:
    make_repository(tmp_path / "r", {"README.md": ""})
    with GitLabServer({"acme/inner": tmp_path / "r"}) as server:
        server.tokens.add(TOKEN)
        server.visible["acme/inner"] = visibility
        host = Host("gl", server, SqliteTable(None), "")
        assert type(host.says(host.provider(), host.spec("acme/inner"))) is RepositoryNotFound


def test_representations_contain_no_credentials_for_git() -> None:
    """An exception, for example, prints the values around it."""
    remote = Remote("https://example.org/r", "https://example.org/r/", True, "Basic c2VjcmV0")
    assert "c2VjcmV0" not in repr(remote) + repr(Source("https://example.org/r", "a" * 40, "Basic c2VjcmV0"))


def test_a_public_project_with_code_for_members_only_is_private(tmp_path: Path) -> None:
    make_repository(tmp_path / "r", {"README.md": ""})
    with GitLabServer({"acme/half": tmp_path / "r"}) as server:
        server.tokens.add(TOKEN)
        server.levels["acme/half"] = "private"
        host = Host("gl", server, SqliteTable(None), "")
        assert type(host.says(host.provider(), host.spec("acme/half"))) is RepositoryNotFound
        assert host.provider("gl/acme/half").resolve(host.spec("acme/half")).repository.private


def test_git_gets_the_token_in_the_form_of_each_host(host: Host) -> None:
    user = {"gh": "x-access-token", "gl": "oauth2"}[host.id]
    assert host.provider().authorization() == f"Basic {b64encode(f'{user}:{TOKEN}'.encode()).decode()}"
    assert host.provider(token="").authorization() == ""


def test_the_environment_of_a_private_repository_depends_on_its_commit(host: Host) -> None:
    """The key depends on the commit, so no session has to fetch the repository's files."""
    provider = host.provider("gh/acme/*", "gl/acme/*")
    commits = Commits(host.table, SystemClock())
    identify = IdentifyEnvironment(FakeBuilds(FakeQueue()), commits)
    repository = provider.resolve(host.spec("acme/secret")).repository
    count = len(host.server.requests)
    identity = identify(provider, repository)
    assert (identity.scope, identity.inputs["commit"]) == (Scope.COMMIT, host.secret)
    assert len(host.server.requests) == count
    commits.keep(repository, FakeBuilds(FakeQueue()).name, Identity.of(Scope.FILES, {"when": "it was public"}))
    assert identify(provider, repository) == identity
    assert identity.key != identify(provider, repository.model_copy(update={"ref": "b" * 40})).key
