"""Git links to hosts that other providers query by their API."""

from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.hosts.git import GitProvider
from bindery.adapters.hosts.registry import PROVIDERS
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadAddress, BadSpec
from bindery.domain.repository import Repository
from bindery.settings import Settings
from tests.fakes.table import DictTable
from tests.serving.site import Site, moved


@pytest.fixture
def git() -> GitProvider:
    settings = Settings.read({"BINDERY_SECRET": "s" * 48})
    provider = PROVIDERS["git"](settings, GuardedClient(), DictTable(), SystemClock())
    assert isinstance(provider, GitProvider)
    return provider


@pytest.mark.parametrize(
    "url",
    [
        *("https://api.github.com/o/r", "http://api.github.com/o/r", "https://API.github.com./o/r"),
        *("https://api.github.com:443/o", "http://api.github.com:443/o", "https://zenodo.org/o/r.git"),
        *("https://gitlab.com/api/v4/projects", "https://gitlab.com//api/%76%34/o"),
        *("https://api.figshare.com/v2", "https://www.hydroshare.org/x/y", "https://doi.org/10.5281/zenodo.1"),
    ],
)
def test_a_git_link_to_the_host_of_an_api_is_refused_with_a_message(git: GitProvider, url: str) -> None:
    for ask in (git.check, git.resolve):
        with pytest.raises(BadSpec, match="asked by its API"):
            ask(f"{quote(url, safe='')}/HEAD")


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/o/r",
        "https://gitlab.com/o/r",
        "https://gitlab.com/apis/r",
        "https://api.github.com.example/o/r",
    ],
)
def test_repository_hosts_are_accepted_as_git_hosts(git: GitProvider, url: str) -> None:
    assert git.check(f"{quote(url, safe='')}/HEAD")


def test_a_redirect_of_a_git_server_to_the_host_of_an_api_is_refused(site: Site) -> None:
    with Site() as api:
        site.replies["/r/info/refs"] = moved(f"{api.url}/x")
        client = GuardedClient([site.address, api.address])
        git = GitProvider(client, SystemClock(), refused=RefusedApis([api.url]))
        with pytest.raises(BadAddress, match="asked by its API"):
            git.resolve(f"{quote(f'{site.url}/r', safe='')}/HEAD")
        client.close()
        assert api.requests == []


def test_later_requests_for_a_commit_or_tags_refuse_such_redirects(site: Site) -> None:
    with Site() as api:
        site.replies["/r/info/refs"] = moved(f"{api.url}/x")
        client = GuardedClient([site.address, api.address])
        git = GitProvider(client, SystemClock(), refused=RefusedApis([api.url]))
        url = f"{site.url}/r"
        words = {"provider": "git", "spec": "s", "resolved_spec": "s", "repo_url": url, "ref_url": url}
        repository = Repository(ref="1" * 40, clone_url=url, **words)
        assert not git.on_branch_or_tag(repository)
        with pytest.raises(BadAddress, match="asked by its API"):
            git.tags(repository)
        client.close()
        assert api.requests == []
