"""The refs and specs that may be requested."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.git.refs import check_ref, chosen, names_of
from bindery.adapters.hosts.git import GitProvider
from bindery.adapters.hosts.github.provider import GitHubProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadRef, BadSpec
from bindery.web.errors.render import error_message
from bindery_local.sqlite_table import SqliteTable

BAD = [
    "",
    "-",
    "--upload-pack=id",
    "a..b",
    "a@{1}",
    "@",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[b",
    "a\\b",
    "a b",
    "a\tb",
    "a\nb",
    "a\0b",
    "a\x7f",
    "a\x85b",
    "a\u2028b",
    "a.lock",
    "a.lock/b",
    "a/",
    "/a",
    "a//b",
    "a/.b",
    ".a",
    "a.",
    "x" * 256,
    "\u00e9" * 128,
]
GOOD = [
    "HEAD",
    "main",
    "feature/x",
    "v1.0",
    "r\u00e9sum\u00e9",
    "a-b",
    "a@b",
    "refs/heads/x",
    "x" * 255,
    "100%",
    "a{b}",
]


@pytest.mark.parametrize("ref", BAD)
def test_a_ref_that_git_forbids_is_refused_with_a_reason(ref: str) -> None:
    with pytest.raises(BadRef) as caught:
        check_ref(ref)
    assert caught.value.facts["why"]
    assert len(str(caught.value.facts["ref"])) <= 255


@pytest.mark.parametrize("ref", GOOD)
def test_refs_that_git_allows_are_accepted_unchanged(ref: str) -> None:
    assert check_ref(ref) == ref


def test_a_commit_id_is_converted_to_lower_case() -> None:
    assert check_ref("ABCDEF0123456789ABCDEF0123456789ABCDEF01") == "abcdef0123456789abcdef0123456789abcdef01"
    assert check_ref("ABCDEF") == "ABCDEF"


def test_a_branch_precedes_a_tag_and_head_replaces_only_a_missing_default_branch() -> None:
    assert names_of("HEAD") == ("HEAD",)
    refs = {"refs/heads/a": "1", "refs/tags/a": "2", "HEAD": "3"}
    branch = chosen("a", refs)
    assert branch is not None
    assert (branch.commit, branch.note) == ("1", "")
    assert chosen("b", refs) is None
    for name in ("master", "main"):
        instead = chosen(name, refs)
        assert instead is not None
        assert instead.commit == "3"
        assert name in instead.note


@pytest.fixture(scope="module")
def git() -> GitProvider:
    return GitProvider(GuardedClient(), SystemClock())


@pytest.fixture(scope="module")
def gh() -> GitHubProvider:
    return GitHubProvider(GuardedClient(), SqliteTable(None), SystemClock())


BAD_GIT = [
    "",
    "HEAD",
    "/HEAD",
    "https%3A%2F%2Fexample.org%2Fr",
    "https%3A%2F%2Fexample.org%2Fr%00/HEAD",
    "https%3A%2F%2Fexample.org%2Fr%ff/HEAD",
    "https://example.org/r/HEAD",
    "file%3A%2F%2F%2Fetc/HEAD",
    "ssh%3A%2F%2Fgit@example.org%2Fr/HEAD",
    "git@example.org%3Ar/HEAD",
    "ext%3A%3Ash%20-c%20id/HEAD",
    "-upload-pack/HEAD",
    "https%3A%2F%2Fme:hunter2@example.org%2Fr/HEAD",
    "https%3A%2F%2Fexample.org%2Fr%3Fa=b/HEAD",
    "https%3A%2F%2Fexample.org%2F" + "r" * 10_000 + "/HEAD",
]


@pytest.mark.parametrize("spec", BAD_GIT)
def test_invalid_git_specs_are_refused(spec: str, git: GitProvider) -> None:
    for ask in (git.check, git.resolve):
        with pytest.raises(BadSpec) as caught:
            ask(spec)
        assert "hunter2" not in str(caught.value)
        assert len(str(caught.value.facts["spec"])) <= 200


@pytest.mark.parametrize("ref", ["", "-x", "%00", "a%20b", "..", "%2e%2e/x", "a%0ab"])
def test_invalid_refs_in_git_specs_are_refused(ref: str, git: GitProvider) -> None:
    with pytest.raises(BadRef):
        git.check(f"https%3A%2F%2Fexample.org%2Fr/{ref}".replace("%00", "%01"))


@pytest.mark.parametrize(
    ("spec", "encoded"),
    [
        ("https://example.org/o/r/main", "https%3A%2F%2Fexample.org%2Fo%2Fr/main"),
        ("http:/example.org:3000/o/r/HEAD", "http%3A%2F%2Fexample.org%3A3000%2Fo%2Fr/HEAD"),
        ("https://example.org/o/r.git", "https%3A%2F%2Fexample.org%2Fo%2Fr.git/HEAD"),
        ("https://example.org/o/r.git/feature/x", "https%3A%2F%2Fexample.org%2Fo%2Fr.git/feature/x"),
        ("HTTPS://example.org/r", "https%3A%2F%2Fexample.org%2Fr/HEAD"),
        ("https://example.org/a%20b/main", "https%3A%2F%2Fexample.org%2Fa%2520b/main"),
        ("https://me:hunter2@example.org/r/main", "https%3A%2F%2Fexample.org%2Fr/main"),
        ("https://", GitProvider.display.example),
        ("https://example.org/" + "r" * 300 + "/main", GitProvider.display.example),
    ],
)
def test_an_unencoded_address_is_refused_with_the_encoded_link(spec: str, encoded: str, git: GitProvider) -> None:
    with pytest.raises(BadSpec) as caught:
        git.check(spec)
    assert error_message(caught.value).message.endswith(
        f"has to be percent-encoded, as in /v2/git/{encoded}. Check the link."
    )
    assert "hunter2" not in str(caught.value)
    assert git.check(encoded)


def test_a_git_spec_names_its_repository(git: GitProvider) -> None:
    assert git.check("https%3A%2F%2Fexample.org%2Fo%2Fr.git/feature/x") == "https://example.org/o/r"


BAD_GITHUB = [
    "",
    "o",
    "o/r",
    "/r/HEAD",
    "o//HEAD",
    "../r/HEAD",
    "o/../HEAD",
    "o/./HEAD",
    "o%2Fr/x/HEAD",
    "-o/r/HEAD",
    "o/r%00/HEAD",
    "o/r?x/HEAD",
    "o/%ff/HEAD",
    "o/" + "r" * 9999 + "/HEAD",
]


@pytest.mark.parametrize("spec", BAD_GITHUB)
def test_invalid_github_specs_are_refused(spec: str, gh: GitHubProvider) -> None:
    with pytest.raises(BadSpec):
        gh.check(spec)


def test_a_github_spec_names_its_repository(gh: GitHubProvider) -> None:
    assert gh.check("jupyterlab/jupyterlab-demo/feature/x") == "https://github.com/jupyterlab/jupyterlab-demo"
    assert gh.check("o/r.git/HEAD") == "https://github.com/o/r"


quoted_urls = st.text(max_size=20).map(lambda url: quote(f"https://example.org/{url}", safe="", errors="replace"))
specs = (
    st.text(max_size=60)
    | st.binary(max_size=40).map(lambda raw: quote(raw, safe="/"))
    | st.builds("{}/{}".format, quoted_urls, st.text(max_size=20))
)


@given(specs)
def test_any_text_is_a_git_spec_or_refused(git: GitProvider, spec: str) -> None:
    try:
        page = git.check(spec)
    except (BadSpec, BadRef) as error:
        str(error.facts).encode()
    else:
        assert page.startswith(("http://", "https://"))


@given(specs | st.builds("o/r/{}".format, st.text(max_size=30)))
def test_any_text_is_a_github_spec_or_refused(gh: GitHubProvider, spec: str) -> None:
    try:
        page = gh.check(spec)
    except (BadSpec, BadRef) as error:
        str(error.facts).encode()
    else:
        assert page.startswith("https://github.com/")


@pytest.mark.parametrize("name", ["Evil/Repo", "evil/repo.git", "EVIL/repo.git.GIT", "%65vil/rep%6F.git"])
def test_a_github_repository_has_one_name_in_rules_and_quotas(gh: GitHubProvider, name: str) -> None:
    assert gh.canonical(f"{name}/Feature%2Fx") == "evil/repo/Feature/x"
    assert gh.check(f"{name}/HEAD") == "https://github.com/evil/repo"


@pytest.mark.parametrize(
    "url",
    [
        "https://forge.example/evil/repo.git/",
        "https://Forge.example.:443/evil/repo",
        "https://forge.example/%65vil/repo.git",
    ],
)
def test_a_git_repository_has_one_name_in_rules_and_quotas(git: GitProvider, url: str) -> None:
    assert git.canonical(f"{quote(url, safe='')}/a%2Fb") == "https://forge.example/evil/repo/a/b"
    assert git.check(f"{quote(url, safe='')}/HEAD") == "https://forge.example/evil/repo"


def test_the_page_of_a_git_repository_is_a_valid_address(git: GitProvider) -> None:
    url = "https://forge.example/a%20b%3Fc/"
    assert git.check(f"{quote(url, safe='')}/HEAD") == "https://forge.example/a%20b%3Fc"


@pytest.mark.parametrize("spec", ["", "o", "%ff/%ff/HEAD", "a" * 3000])
def test_an_invalid_spec_has_no_canonical_name(git: GitProvider, gh: GitHubProvider, spec: str) -> None:
    for provider in (git, gh):
        with pytest.raises(BadSpec):
            provider.canonical(spec)
