"""Every provider's grammar, on the cases in `repositories/<id>.toml`, and on random text. No host is asked."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.registry import PROVIDERS
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadRef, BadSpec, BinderyError, UnknownAddress, UnknownDoi
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.repository_provider import RepositoryProvider
from bindery.settings import Settings
from bindery.usecases.detect_address import DetectAddress
from tests.fakes.table import DictTable
from tests.serving.providers import every_provider

SETTINGS = Settings.read({})
FOLDER = Path(__file__).parent / "repositories"
CASES: Mapping[str, Mapping[str, Any]] = {
    name: tomllib.loads((FOLDER / f"{name}.toml").read_text())
    for name in PROVIDERS
    if (FOLDER / f"{name}.toml").exists()
}


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name} {case.get('spec')} {case.get('url', '')}".strip())
        for name, grammar in CASES.items()
        for case in grammar.get(kind, ())
    ]


@cache
def providers() -> Mapping[str, RepositoryProvider]:
    """Return all providers. Their client resolves no name, so no host can be asked."""
    return every_provider(GuardedClient(resolver=resolve_nothing))


def reversed_providers() -> Mapping[str, RepositoryProvider]:
    return {name: providers()[name] for name in reversed(list(providers()))}


def resolve_nothing(*_: object) -> list[Any]:
    raise AssertionError("somebody was asked")


def detect(text: str) -> PastedUrl:
    return DetectAddress(providers)(text)


def test_every_provider_has_cases() -> None:
    assert sorted(CASES) == sorted(PROVIDERS)
    for grammar in CASES.values():
        assert all(grammar[kind] for kind in ("accepted", "refused", "pasted"))


@pytest.mark.parametrize(("name", "case"), cases("accepted"))
def test_a_spec_has_one_page_and_one_name_in_rules(name: str, case: Mapping[str, str]) -> None:
    provider = providers()[name]
    assert provider.check(case["spec"]) == case["page"]
    assert provider.canonical(case["spec"]) == case["canonical"]
    assert re.fullmatch(provider.display.regex, case["spec"])


@pytest.mark.parametrize(("name", "case"), cases("refused"))
def test_an_invalid_spec_is_refused_with_its_reason(name: str, case: Mapping[str, str]) -> None:
    provider = providers()[name]
    for ask in (provider.check, provider.canonical, provider.resolve):
        with pytest.raises((BadSpec, BadRef)) as caught:
            ask(case["spec"])
        assert type(caught.value).__name__ == case["error"]
        assert case.get("why", "") in str(caught.value.facts["why"])
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("name", "case"), cases("pasted"))
def test_a_pasted_address_is_recognised(name: str, case: Mapping[str, str]) -> None:
    address = detect(case["url"])
    path = case.get("path", "")
    assert (address.provider, address.spec, address.path) == (name, case["spec"], path)
    assert address.kind.value == case.get("kind", "file")
    assert address.ref == case.get("ref", address.ref)
    assert "t0ken" not in str(address)
    assert DetectAddress(reversed_providers)(case["url"]) == address, "whoever is asked first"
    providers()[name].check(address.spec)


@pytest.mark.parametrize(("name", "case"), cases("typed"))
def test_text_typed_into_a_form_matches_the_pattern_that_clients_get(name: str, case: Mapping[str, str]) -> None:
    pattern = str(providers()[name].display.detect).replace("(?<", "(?P<")
    match = re.search(pattern, case["text"])
    assert match
    groups = match.groupdict()
    assert groups["repo"] == case["repo"]
    assert (groups["ref"] or "", groups.get("filepath") or "") == (case.get("ref", ""), case.get("path", ""))


def is_ref(text: str) -> bool:
    """Return True for text that fits git's own rules for refs without slashes: git-scm.com/docs/git-check-ref-format."""
    return ".." not in text and not text.endswith((".", ".lock"))


refs = st.sampled_from(["main", "v1.0", "0" * 40]) | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,20}", fullmatch=True)
paths = st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}", fullmatch=True), min_size=1, max_size=4).map(
    "/".join
)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
@given(data=st.data())
def test_the_page_of_a_repository_leads_back_to_its_spec(name: str, data: st.DataObject) -> None:
    """A host's page leads back to its spec for all names that the host allows: `made` is their form."""
    grammar = CASES[name]
    names = st.from_regex(grammar["made"], fullmatch=True).filter(lambda text: not text.endswith((".git", ".")))
    repo = data.draw(st.sampled_from(grammar["parts"]) | names)
    ref = data.draw(st.sampled_from(grammar["refs"]) if "refs" in grammar else refs.filter(is_ref))
    path = data.draw(st.sampled_from(grammar["paths"]) if "paths" in grammar else paths)
    address = detect(grammar["address"].format(repo=repo, ref=ref, path=path))
    assert (address.provider, address.repo, address.ref, address.path) == (name, repo, ref, path)
    assert detect(f"https://mybinder.org/v2/{name}/{address.spec}").spec == address.spec


pieces = st.text(max_size=12) | st.sampled_from(
    [
        "..",
        ".",
        "-",
        "blob",
        "tree",
        "raw",
        "v2",
        "gh",
        "gl",
        "git",
        "gist",
        "o",
        "r",
        "refs",
        "heads",
        "%2F",
        "%00",
        "@",
        ":",
        "%ff",
    ]
)
hosts = st.sampled_from(
    [
        "github.com",
        "gist.github.com",
        "gitlab.com",
        "nbviewer.org",
        "colab.research.google.com",
        "mybinder.org",
        "[::1]",
        "x:99999",
    ]
)
addresses = st.builds(
    lambda scheme, host, path, rest: f"{scheme}{host}/{'/'.join(path)}{rest}",
    st.sampled_from(["https://", "http://", "", "git@", "ssh://git@", "git+", "javascript:", "file://", "//"]),
    hosts,
    st.lists(pieces, max_size=6),
    st.sampled_from(["", "?src=x", "?repo=https://github.com/o/r&branch=..", "#f", "?urlpath=../x"]),
)


@given(st.text(max_size=60) | addresses)
@example("https://gist.github.com/user/no-number")
@example("https://github.com/-owner/r")
@example("https://github.com/o/r/tree/a..b")
def test_any_pasted_text_leads_to_a_valid_spec_or_is_refused(text: str) -> None:
    try:
        address = detect(text)
    except (UnknownAddress, BadSpec, BadRef):
        return
    page = providers()[address.provider].check(address.spec)
    assert re.match(r"https?://[^/@\s]+(/|\Z)", page)
    assert address.spec.isprintable()


@pytest.mark.parametrize("name", sorted(PROVIDERS))
@given(spec=st.text(max_size=80) | st.lists(pieces, max_size=5).map("/".join))
def test_any_text_is_a_spec_of_one_host_or_refused(name: str, spec: str) -> None:
    provider = providers()[name]
    try:
        page, canonical = provider.check(spec), provider.canonical(spec)
    except (BadSpec, BadRef) as error:
        str(error.facts).encode()
        return
    assert re.match(r"https?://[^/@\\\s]+(/|\Z)", page)
    assert page.startswith(CASES[name].get("site", "http"))
    assert page.isprintable()
    assert not canonical.startswith("-")
    assert page.isascii()


around = st.sampled_from(
    ["", "HEAD", "main", "/HEAD", "@evil.example", "//evil.example/", "%2F%2Fevil.example", "\\evil.example"]
)
near_specs = st.builds(
    lambda before, part, after: f"{before}{part}{after}",
    around,
    st.sampled_from(["o/r/", "g%2Fp/", "u/0123abcd/"]),
    around,
)


@pytest.mark.parametrize("name", sorted(name for name, grammar in CASES.items() if "asks" in grammar))
@given(data=st.data())
def test_only_the_hosts_of_the_provider_are_requested_for_any_spec(name: str, data: st.DataObject) -> None:
    grammar = CASES[name]
    own = st.sampled_from(grammar["parts"]).map(lambda part: quote(part, safe="/" if name != "gl" else ""))
    spec = data.draw(st.builds("{}{}".format, own, around | st.text(max_size=20).map("/{}".format)) | near_specs)
    assert asked_by(name, spec) <= set(grammar["asks"])
    assert asked_by(name, grammar["accepted"][0]["spec"]), "it asks at all"


@pytest.mark.parametrize("name", ["git", "ckan", "dataverse"])
@given(tail=st.lists(st.sampled_from("/?#\\@:;&%") | pieces | st.just("evil.example"), max_size=6).map("".join))
@example(tail="@evil.example/r")
@example(tail="\\@evil.example/r")
@example(tail=":80@evil.example/r")
@example(tail="#@evil.example/r")
@example(tail="%2f@evil.example/r")
def test_text_after_an_address_in_a_spec_never_leads_to_another_host(name: str, tail: str) -> None:
    """Text after an address in a spec never leads to another host.

    A name that continues the host's name is another host, and every reader can see that.
    """
    after = tail if tail[:1] in {"/", "?", "#", "\\", "@", ":", "%", ";", "&"} else f"/{tail}"
    page = {"git": "", "ckan": "/dataset/x", "dataverse": "/dataset.xhtml?persistentId=doi:10.7910/DVN/TJCLKP"}[name]
    for address in (f"https://forge.example{after}{page}", f"https://forge.example{page}{after}"):
        spec = quote(address, safe="", errors="surrogatepass")
        assert asked_by(name, f"{spec}/HEAD" if name == "git" else spec) <= {"forge.example", "doi.org"}


def asked_by(name: str, spec: str) -> set[str]:
    """Return the hosts that the provider would ask for a spec. The resolver here knows no host."""
    hosts: set[str] = set()

    def resolver(host: str, *_: object) -> list[Any]:
        hosts.add(host)
        raise OSError

    provider = PROVIDERS[name](SETTINGS, GuardedClient(resolver=resolver), DictTable(), SystemClock())
    with suppress(BinderyError):
        provider.resolve(spec)
    return hosts


@pytest.mark.parametrize("name", ["gh", "gl", "git"])
@given(ref=st.text(max_size=20) | st.lists(pieces, max_size=3).map("/".join) | st.text("-./@{~\n x", max_size=5))
def test_an_accepted_ref_is_no_git_option_and_a_single_word(name: str, ref: str) -> None:
    provider, before = providers()[name], CASES[name]["parts"][0]
    spec = f"{before if name == 'gh' else quote(before, safe='')}/{quote(ref, safe='', errors='surrogatepass')}"
    try:
        provider.check(spec)
    except (BadSpec, BadRef):
        return
    assert ref
    assert not ref.startswith("-")
    assert ".." not in ref
    assert ref.isprintable()
    assert len(ref.split()) == 1


def test_an_invalid_launch_link_is_refused_with_its_reason() -> None:
    with pytest.raises(BadSpec) as caught:
        detect("https://mybinder.org/v2/gl/group/project/HEAD")
    assert "%2F" in str(caught.value.facts["why"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "https://example.org/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://github.com/o/../r",
        "https://mybinder.org/v2/nosuch/o/r/HEAD",
        "https://[::1",
        "https://h:99999/x",
        "https://github.com/\no/r",
        "x" * 5000,
        "data:text/html,x",
    ],
)
def test_text_without_a_repository_address_is_unknown(text: str) -> None:
    with pytest.raises(UnknownAddress):
        detect(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://doi.org/10.25384/SAGE.9",
        "https://dx.doi.org/10.25384%2FSAGE.9/",
        "doi:10.25384/SAGE.9",
        "10.25384/SAGE.9",
    ],
)
def test_a_doi_without_a_recognisable_host_is_reported_as_a_doi(text: str) -> None:
    with pytest.raises(UnknownDoi) as caught:
        detect(text)
    assert caught.value.facts == {"doi": "10.25384/SAGE.9"}


@pytest.mark.parametrize(
    "link",
    [
        "https://mybinder.org//v2/gh/o/r/HEAD",
        "https://mybinder.org/v2//gh/o/r/HEAD",
        "https://mybinder.org/v2/gh/o/r//HEAD/",
        "mybinder.org/v2/gh/o/%72/HEAD",
    ],
)
def test_another_spelling_of_a_launch_link_is_recognised(link: str) -> None:
    address = detect(link)
    assert (address.provider, address.spec) == ("gh", "o/r/HEAD")


def test_extra_slashes_around_the_oldest_links_are_ignored() -> None:
    address = detect("https://mybinder.org//repo/o/r/")
    assert (address.provider, address.spec) == ("gh", "o/r/master")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("git clone https://github.com/o/r.git", "o/r/HEAD"),
        ("$ git clone git@github.com:o/r.git folder", "o/r/HEAD"),
        ("git clone --depth=1 'https://github.com/o/r'", "o/r/HEAD"),
        ("git clone -b feature/x https://github.com/o/r", "o/r/feature/x"),
        ("git clone https://github.com/o/r --branch v1", "o/r/v1"),
        ("git clone --branch=v1 https://github.com/o/r/tree/dev", "o/r/v1"),
        ("[![Binder](https://a.example/b.svg)](https://mybinder.org/v2/gh/o/r/HEAD)", "o/r/HEAD"),
        ("[our code](https://github.com/o/r/tree/dev)", "o/r/dev"),
        ('<a href="https://mybinder.org/v2/gh/o/r/HEAD"><img src="https://a.example/b.svg"></a>', "o/r/HEAD"),
        (".. image:: https://a.example/b.svg :target: https://mybinder.org/v2/gh/o/r/HEAD", "o/r/HEAD"),
        ("o/r/tree/dev", "o/r/dev"),
        ("o/r/pull/12", "o/r/pull/12/head"),
        ("o/r/releases/tag/v1", "o/r/v1"),
    ],
)
def test_words_around_an_address_are_ignored(text: str, spec: str) -> None:
    address = detect(text)
    assert (address.provider, address.spec) == ("gh", spec)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "git clone",
            "git clone --depth 1",
            "git clone nowhere",
            "git clone -b x",
            "[a](b)",
            "<a href=x>",
            "o/r",
            "o",
        ),
        *("https://github.com/my org/repo", "see https://git.example.org/o/r", "o/r/tree/", "o/r/tree/a b"),
        "git clone " + "-" * 10_000,
        "](https://a.example/" + "(" * 4000,
        "](https://a.example/" + "((x)" * 1000,
    ],
)
def test_other_text_around_no_repository_address_is_refused(text: str) -> None:
    with pytest.raises(UnknownAddress):
        detect(text)
