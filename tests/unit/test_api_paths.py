"""The paths of a host's API that a spec leads to: each request names exactly the repository and the ref of the spec."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.github.gist import GistProvider
from bindery.adapters.hosts.github.provider import GitHubProvider
from bindery.adapters.hosts.gitlab import GitLabProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BinderyError
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from tests.fakes.table import DictTable
from tests.serving.github_api import GitHubServer
from tests.serving.gitlab_api import GitLabServer

STEP = r"(?:[A-Za-z0-9_.~!$&'()*+,;=:@-]|%[0-9A-F]{2})+"
QUESTIONS = {
    "gh": rf"/repos/[A-Za-z0-9_-]+/(?!\.\.?/)[A-Za-z0-9._-]+/commits/(?P<ref>{STEP}(?:/{STEP})*)\?per_page=1",
    "gist": r"/gists/[0-9a-f]+(?:/(?P<ref>[0-9a-f]{40}))?",
    "gl": rf"/api/v4/projects/{STEP}/repository/commits/(?P<ref>{STEP})\?stats=false",
}
Ask = Callable[[str], list[str]]

awkward = st.sampled_from(
    ["..", ".", "/", "?", "#", "%2F", "%", "&", "\r\n", "\0", "@", ":", "\\", "\u00e9", "-", "a", "HEAD"]
)
texts = st.text(max_size=12) | st.lists(awkward, max_size=6).map("".join)


@pytest.fixture(scope="module")
def hub() -> Iterator[GitHubServer]:
    with GitHubServer() as server:
        yield server


@pytest.fixture(scope="module")
def lab() -> Iterator[GitLabServer]:
    with GitLabServer() as server:
        yield server


def provider_of(name: str, hub: GitHubServer, lab: GitLabServer, table: Table) -> RepositoryProvider:
    if name == "gl":
        return GitLabProvider(GuardedClient([lab.address]), table, SystemClock(), url=lab.url)
    kind = GistProvider if name == "gist" else GitHubProvider
    return kind(GuardedClient([hub.address]), table, SystemClock(), api_url=hub.url)


@pytest.mark.parametrize("name", QUESTIONS)
@given(project=texts, ref=texts, quoted=st.booleans())
@example(project="r", ref="a?x=1#y", quoted=True)
@example(project="r", ref="a#b", quoted=True)
@example(project="r", ref="a%2Fb", quoted=True)
@example(project="r", ref="a/../../../user", quoted=True)
@example(project="a/commits", ref="HEAD", quoted=True)
@example(project="../../user", ref="HEAD", quoted=True)
@example(project="0a", ref="refs/heads/\u00e9&b", quoted=True)
def test_an_api_request_names_exactly_the_repository_and_ref_of_the_spec(
    name: str, hub: GitHubServer, lab: GitLabServer, project: str, ref: str, quoted: bool
) -> None:
    requests = (lab if name == "gl" else hub).requests
    requests.clear()
    parts = [quote(part, safe="", errors="surrogatepass") if quoted else part for part in (project, ref)]
    spec = f"g%2F{parts[0]}/{parts[1]}" if name == "gl" else f"o/{parts[0]}/{parts[1]}"
    with suppress(BinderyError):
        provider_of(name, hub, lab, DictTable()).resolve(spec)
    expected = ref if quoted else unquote(ref, errors="surrogateescape")
    for each in requests:
        question = re.fullmatch(QUESTIONS[name], each.path)
        assert question
        assert unquote(question["ref"] or "HEAD") in {expected, expected.lower(), "HEAD"}
