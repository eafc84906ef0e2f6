"""The single spelling in which links are read, at every place where they come in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.domain.errors import BadRequest
from bindery.domain.links import plain_path, plain_spec
from bindery.domain.urls.pasted import query_of
from bindery.web.api.launches import Caller
from bindery.web.base_url import Link, read_link
from bindery.web.pages.session_paths import path_in_session
from tests.fakes.in_memory_system import InMemorySystem

GIT = "https%3A%2F%2Fgit.example%2Fo%2Fr"


@pytest.mark.parametrize(
    ("path", "provider", "spec"),
    [
        ("/v2/gh/o/r/main/", "gh", "o/r/main"),
        ("/v2/gh/o/r/main//", "gh", "o/r/main"),
        ("/v2/gh/o/r/main%2F", "gh", "o/r/main"),
        ("//v2/gh/o/r/HEAD", "gh", "o/r/HEAD"),
        ("/v2//gh/o/r/HEAD", "gh", "o/r/HEAD"),
        ("/v2/gh//o/r/HEAD", "gh", "o/r/HEAD"),
        ("/v2/gh/o/r//HEAD", "gh", "o/r/HEAD"),
        ("///v2///gh///o///r///HEAD///", "gh", "o/r/HEAD"),
        ("/v2/gh/o/%72/v1%2E0%2D%7e", "gh", "o/r/v1.0-~"),
        ("/v2/gh/o/r/a%2fb", "gh", "o/r/a%2Fb"),
        ("/v2/gh/o/r/feature/x", "gh", "o/r/feature/x"),
        ("/v2/gh/o/r/feature%2Fx", "gh", "o/r/feature%2Fx"),
        ("/v2/gh/o/r/a%20b%25%23", "gh", "o/r/a%20b%25%23"),
        ("/v2/gh/o/r/%252E", "gh", "o/r/%252E"),
        (f"/v2/git/{GIT}/HEAD", "git", f"{GIT}/HEAD"),
        (f"/v2/git/{GIT.lower()}/HEAD/", "git", f"{GIT}/HEAD"),
        ("/v2/git/https://git.example/o/r/HEAD", "git", "https://git.example/o/r/HEAD"),
        ("/v2/zenodo/10.5281/zenodo.1/", "zenodo", "10.5281/zenodo.1"),
        ("/v2/zenodo/10.5281%2Fzenodo.1%2F", "zenodo", "10.5281%2Fzenodo.1"),
        ("/v2/doi/10.1000/a//b/", "doi", "10.1000/a//b"),
    ],
)
def test_a_link_is_read_in_its_canonical_spelling(path: str, provider: str, spec: str) -> None:
    assert read_link(path, "/v2/") == Link(provider, spec)


@pytest.mark.parametrize("path", ["/v2/", "/v2//", "/v2/gh", "/v2/gh/", "/v2/gh///", "/v2/gh/%2F", "//v2/"])
def test_a_link_without_a_repository_is_refused_with_an_example(path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_link(path, "/v2/")
    assert "/v2/gh/owner/repository/HEAD" in str(refused.value.facts["why"])


@given(st.text(alphabet="ab/%2fF.E~:", max_size=30))
def test_the_canonical_spelling_of_a_canonical_spelling_is_itself(text: str) -> None:
    for provider in ("gh", "doi"):
        once = plain_spec(provider, text)
        assert plain_spec(provider, once) == once
    assert plain_path(plain_path(text)) == plain_path(text)


SPELLINGS = ("o/r/HEAD", "o/r/HEAD/", "o/r//HEAD", "/o/r/HEAD", "o/%72/HEAD", "o/r/HEAD%2f")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("page", SPELLINGS)
def test_a_page_token_is_valid_for_every_spelling_of_its_link(page: str, spelling: str) -> None:
    system = InMemorySystem()
    body = {"provider": "gh", "spec": spelling, "build_token": system.token(read_link(f"/v2/gh/{page}", "/v2/").spec)}
    caller = Caller("203.0.113.7", "https", {"content-type": "application/json"})
    created = system.bindery.api.create(caller, json.dumps(body))
    assert system.launch(str(created.body["id"])).spec == "o/r/HEAD"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_ban_applies_to_every_spelling(spelling: str) -> None:
    system = InMemorySystem(banned_specs=("^gh/o/r/HEAD$",))
    page = system.bindery.site.launch(
        f"/v2/gh/{spelling}", {}, system.bindery.site.own("https", {}, ""), "none", "203.0.113.7"
    )
    assert page.status == 403


@pytest.mark.parametrize(
    ("labpath", "filepath", "urlpath", "path"),
    [("", "", "lab", "lab"), ("", "a.ipynb", None, "tree/a.ipynb"), ("", "", "", ""), (None, "", "lab", "lab")],
)
def test_an_empty_parameter_counts_as_absent(
    labpath: str | None, filepath: str | None, urlpath: str | None, path: str
) -> None:
    assert path_in_session(urlpath, labpath, filepath) == path


@pytest.mark.parametrize("slashes", ["/" * 60_000, "%2F" * 20_000, "/%2f" * 15_000])
@pytest.mark.timeout(10)  # work that is quadratic in the link's length takes longer on any machine
def test_many_slashes_are_read_in_linear_time(slashes: str) -> None:
    """The API's bodies may have 64 kB, and no limit counts a request before its spec is read."""
    assert plain_spec("gh", f"o/r/HEAD{slashes}") == "o/r/HEAD"
    assert plain_spec("gh", f"o/r{slashes}x").startswith("o/r")


def test_a_link_with_too_many_parameters_is_read_without_them() -> None:
    assert query_of("https://mybinder.org/v2/gh/o/r/HEAD?" + "a=1&" * 200) == {}
    assert query_of("https://mybinder.org/v2/gh/o/r/HEAD?a=1&a=2") == {"a": "2"}
