"""The refusals of hosts: each is reported as its own kind, and a temporary one is waited for."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.git.protocol import GitWire
from bindery.adapters.hosts.git import GitProvider
from bindery.adapters.hosts.github.api import github_api
from bindery.adapters.hosts.gitlab import GitLabProvider
from bindery.adapters.hosts.registry import PROVIDERS
from bindery.adapters.http.client import GuardedClient
from bindery.domain import errors
from bindery.domain.errors import BinderyError, HostBusy, HostLimited, NotARepository, RepositoryEmpty
from bindery.domain.launch import Stage
from bindery.domain.messages import ResolveRequested
from bindery.ports.repository_provider import Resolved
from bindery.settings import Settings
from bindery.usecases.detect_address import DetectAddress
from bindery.usecases.steps.run_step import MOST_WAIT_SECONDS
from bindery.web.errors.render import error_message, waiting_message
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.table import DictTable
from tests.serving.git_http import GitServer, git, make_repository
from tests.serving.gitlab_api import GitLabServer
from tests.serving.host_api import Reply as ApiReply
from tests.serving.site import Reply, Site

SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
QUOTA_LEFT = {"X-RateLimit-Remaining": "4876", "X-RateLimit-Reset": "4000000000"}


def by_the_api(site: Site) -> None:
    github_api(GuardedClient([site.address]), SystemClock(), site.url, "").get("/x", "https://forge.example/o/r")


def by_git(site: Site) -> None:
    client = GuardedClient([site.address])
    with client.exchange(site.url):
        GitWire(client, SystemClock()).discover(f"{site.url}/x")


Ask = Callable[[Site], None]
ASKERS = [by_the_api, by_git]


def refused(site: Site, ask: Ask, reply: Reply) -> BinderyError:
    site.replies = dict.fromkeys(("/x", "/x/info/refs"), reply)
    with pytest.raises(BinderyError) as caught:
        ask(site)
    return caught.value


@pytest.mark.parametrize("ask", ASKERS)
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(401, {"message": "Requires authentication"}), "RepositoryNotFound"),
        (Reply(403, {"message": "Forbidden"}), "RepositoryNotFound"),
        (Reply(404, {"message": "Not Found"}), "RepositoryNotFound"),
        (Reply(410, {"message": "Gone"}), "RepositoryGone"),
        (Reply(451, {"message": "Repository access blocked"}), "RepositoryBlocked"),
        (Reply(403, {"message": "Repository access blocked", "block": {"reason": "tos"}}), "RepositoryBlocked"),
        (Reply(429, {"message": "Too Many Requests"}), "HostLimited"),
        (Reply(403, SECONDARY, QUOTA_LEFT), "HostLimited"),
        (Reply(403, {"message": "You have triggered an abuse detection mechanism."}), "HostLimited"),
        (Reply(403, {"message": "API rate limit exceeded for 192.0.2.1."}), "HostLimited"),
        (Reply(503, b"<html>maintenance</html>", {"Retry-After": "90"}), "HostBusy"),
        (Reply(503, b"<html>maintenance</html>"), "HostUnreachable"),
        (Reply(500, b"oops"), "HostUnreachable"),
        (Reply(418, b"teapot"), "HostUnreachable"),
    ],
)
def test_each_refusal_has_its_own_error(site: Site, ask: Ask, reply: Reply, kind: str) -> None:
    assert type(refused(site, ask, reply)).__name__ == kind


def test_a_conflict_in_the_api_of_github_is_an_empty_repository(site: Site) -> None:
    assert isinstance(refused(site, by_the_api, Reply(409, {"message": "Git Repository is empty."})), RepositoryEmpty)


@pytest.mark.parametrize("ask", ASKERS)
def test_a_secondary_rate_limit_lasts_a_minute_despite_remaining_quota(site: Site, ask: Ask) -> None:
    before = SystemClock().now()
    limited = refused(site, ask, Reply(403, SECONDARY, QUOTA_LEFT))
    assert 60 <= float(limited.facts["at"]) - before < 120


def test_a_secondary_rate_limit_is_not_retried_without_the_token(site: Site) -> None:
    """Without the token, the host would get one more request, an anonymous one."""
    site.replies["/x"] = Reply(403, SECONDARY, QUOTA_LEFT)
    with pytest.raises(HostLimited):
        github_api(GuardedClient([site.address]), SystemClock(), site.url, "token").get("/x", "page")
    assert site.requests == ["/x"]


def test_a_busy_host_is_not_requested_until_its_time_is_over(site: Site) -> None:
    client = GuardedClient([site.address])
    site.replies["/x"] = Reply(503, b"", {"Retry-After": "90"})
    for _ in range(2):
        with pytest.raises(HostBusy):
            github_api(client, SystemClock(), site.url, "").get("/x", "page")
    assert len(site.requests) == 1


@pytest.mark.parametrize("ref", ["HEAD", "main", "v1"])
def test_a_repository_without_commits_is_reported_as_empty(tmp_path: Path, ref: str) -> None:
    git("init", "--quiet", "--bare", tmp_path / "empty.git")
    with GitServer(tmp_path) as server:
        provider = GitProvider(GuardedClient([server.address]), SystemClock())
        with pytest.raises(RepositoryEmpty):
            provider.resolve(f"{quote(server.url('empty.git'), safe='')}/{ref}")


def test_a_ref_missing_in_a_repository_with_commits_is_not_found(tmp_path: Path) -> None:
    make_repository(tmp_path / "full.git", {"a": "1"})
    with GitServer(tmp_path) as server:
        provider = GitProvider(GuardedClient([server.address]), SystemClock())
        with pytest.raises(errors.RefNotFound):
            provider.resolve(f"{quote(server.url('full.git'), safe='')}/nosuch")


@pytest.mark.parametrize(("empty", "kind"), [(True, RepositoryEmpty), (False, errors.RefNotFound)])
def test_a_gitlab_project_without_commits_is_reported_as_empty(empty: bool, kind: type[BinderyError]) -> None:
    with GitLabServer() as server:
        for ref in ("HEAD", "main"):
            server.replies[f"/api/v4/projects/g%2Fp/repository/commits/{ref}"] = ApiReply(
                404, {"message": "404 Commit Not Found"}
            )
        server.replies["/api/v4/projects/g%2Fp"] = ApiReply(200, {"path_with_namespace": "g/p", "empty_repo": empty})
        provider = GitLabProvider(GuardedClient([server.address]), DictTable(), SystemClock(), url=server.url)
        with pytest.raises(kind):
            provider.resolve("g%2Fp/HEAD")


def limited_for(system: InMemorySystem, seconds: float) -> Callable[[str], Resolved]:
    def resolve(_: str) -> Resolved:
        raise HostLimited(host="api.github.com", at=system.clock.now() + seconds)

    return resolve


def test_a_launch_waits_for_a_short_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    system = InMemorySystem()
    launch = system.open()
    real = system.host.resolve
    monkeypatch.setattr(system.host, "resolve", limited_for(system, 60))
    system.handle(system.queue.pop())
    waiting = system.launch(launch)
    assert waiting.stage is Stage.RESOLVING
    assert "waiting until then" in waiting_message(next(event.trouble for event in waiting.events if event.trouble))
    (sent,) = system.queue.sent
    assert (sent.message, 60 <= sent.delay <= 70) == (ResolveRequested(launch=launch.id, step=1), True)
    monkeypatch.setattr(system.host, "resolve", real)
    system.build()
    assert system.launch(launch).stage is Stage.READY


@pytest.mark.parametrize("seconds", [MOST_WAIT_SECONDS + 60, 3600])
def test_a_launch_does_not_wait_for_a_long_rate_limit(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    system = InMemorySystem()
    launch = system.open()
    monkeypatch.setattr(system.host, "resolve", limited_for(system, seconds))
    system.pump()
    failure = system.launch(launch).failure
    assert failure is not None
    assert failure.kind == "HostLimited"


def test_a_launch_that_is_always_rate_limited_ends_after_its_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    system = InMemorySystem()
    launch = system.open()
    monkeypatch.setattr(system.host, "resolve", limited_for(system, 60))
    system.pump()
    failure = system.launch(launch).failure
    assert failure is not None
    assert failure.kind == "HostLimited"


@pytest.fixture
def detect() -> DetectAddress:
    settings = Settings.read({"BINDERY_SECRET": "s" * 48})
    client, table, clock = GuardedClient(), DictTable(), SystemClock()
    providers = {name: make(settings, client, table, clock) for name, make in PROVIDERS.items()}
    return DetectAddress(lambda: providers)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("https://figshare.com/collections/Some_title/1234567", "collection"),
        ("https://kilthub.cmu.edu/collections/_/1234567", "git"),
        ("https://institute.figshare.com/collections/x/1", "collection"),
        ("https://hdl.handle.net/1902.1/21919", "handle"),
        ("https://dataverse.harvard.edu/dataset.xhtml?persistentId=hdl:1902.1/21919", "DOI"),
        ("https://zenodo.org/badge/latestdoi/123456", "badge"),
        ("https://zenodo.org/communities/zenodo", "record"),
        ("https://github.com/jupyterhub", "person"),
        ("https://www.github.com/jupyterhub/", "person"),
        ("https://github.com/orgs/jupyterhub/repositories", "group"),
        ("https://gitlab.com/gitlab-org", "group"),
        ("https://gist.github.com/someone", "person"),
        ("https://huggingface.co/google", "person"),
        ("https://huggingface.co/papers/1706.03762", "model"),
        ("https://huggingface.co/spaces/gradio", "model"),
        ("https://osf.io/abcde/", "launched"),
        ("https://colab.research.google.com/drive/1abc", "launched"),
        ("https://hub.example.org/hub/user-redirect/lab", "session"),
        ("https://hub.example.org/user/jo/lab/tree/a.ipynb", "session"),
    ],
)
def test_a_page_that_is_no_repository_is_refused_with_its_kind(detect: DetectAddress, address: str, word: str) -> None:
    if word == "git":  # the page's address looks like that of a forge
        assert detect(address).provider == "git"
        return
    with pytest.raises(NotARepository, match=word) as caught:
        detect(address)
    assert error_message(caught.value).message.startswith("This page is no repository: ")


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://github.com/jupyterhub/binderhub", "gh"),
        ("https://huggingface.co/google/flan-t5-base", "git"),
        ("https://huggingface.co/datasets/google/x", "git"),
        ("https://huggingface.co/spaces/gradio/hello", "git"),
        ("https://codeberg.org/o/r", "git"),
        ("https://bitbucket.org/o/r/src/main/", "git"),
        ("https://git.example.org/hub", "git"),
        ("https://figshare.com/articles/dataset/x/9782777/1", "figshare"),
        ("https://zenodo.org/records/3242074", "zenodo"),
    ],
)
def test_addresses_of_repositories_are_recognised(detect: DetectAddress, address: str, provider: str) -> None:
    assert detect(address).provider == provider
