"""The repository provider's contract, on every provider of published records."""

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.records.answer_cache import NEWEST_SECONDS, VERSION_SECONDS
from bindery.adapters.hosts.records.base import RECORD_HOSTS, RecordHost
from bindery.adapters.hosts.records.ckan import CkanProvider
from bindery.adapters.hosts.records.dataverse import DataverseProvider
from bindery.adapters.hosts.records.dois import Dois
from bindery.adapters.hosts.records.figshare import FigshareProvider
from bindery.adapters.hosts.records.hydroshare import HydroShareProvider
from bindery.adapters.hosts.records.zenodo import ZenodoProvider
from bindery.adapters.hosts.registry import PROVIDERS
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BadSpec,
    BinderyError,
    ForbiddenAddress,
    HostLimited,
    HostUnreachable,
    RecordNotFound,
    RecordRestricted,
    RecordWithdrawn,
    RefNotFound,
    RepositoryBlocked,
    RepositoryNotFound,
    RepositoryUnusable,
)
from bindery.domain.repository import Entry, Repository
from bindery.ports.repository_provider import RepositoryProvider
from bindery.settings import Settings
from bindery_builder.contents.records import RecordContents
from bindery_builder.fetch import RECORDS
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable
from tests.serving.dataset_hosts import Ckan, Dataverse, HydroShare
from tests.serving.record_hosts import DoiSystem, Figshare, Zenodo
from tests.serving.site import Reply, Site

RESOURCE = "142c59757ed54de1816777828c9716e7"
Provider = ZenodoProvider | FigshareProvider | DataverseProvider | HydroShareProvider | CkanProvider
Files = dict[str, bytes]


@dataclass(frozen=True)
class Beside:
    """The store for a provider's answers, and the provider's clock."""

    table: DictTable = field(default_factory=DictTable)
    clock: FakeClock = field(default_factory=FakeClock)


@dataclass
class Case:
    """A provider with one record behind it; `publish` makes a new version of the record.

    spec: of the newest version. missing: of a record that does not exist. spellings: of the existing record.
    versions: True if the host keeps them. make: an equal provider, with these hosts allowed, on the given store and clock.
    """

    site: Site
    make: Callable[[list[str], Beside], Provider]
    publish: Callable[[Files], object]
    spec: str
    missing: str
    spellings: tuple[str, ...]
    versions: bool
    allowed: list[str]

    @property
    def provider(self) -> Provider:
        return self.make(self.allowed, Beside())


def doi_spellings(doi: str) -> tuple[str, ...]:
    return (f"{doi}/", quote(doi, safe=""), f"doi:{doi}", f"https://doi.org/{doi}", doi.upper())


def on_zenodo(stack: ExitStack) -> Case:
    dois = stack.enter_context(DoiSystem())
    host = stack.enter_context(Zenodo(dois))
    numbers = itertools.count(101)

    def make(allowed: list[str], beside: Beside) -> ZenodoProvider:
        client = GuardedClient(allowed)
        return ZenodoProvider(
            client, beside.table, beside.clock, Dois(client, beside.clock, dois.url), api_url=host.api
        )

    spec, missing = "10.5281/zenodo.100", "10.5281/zenodo.999"
    allowed = [host.address, dois.address]
    return Case(
        host,
        make,
        lambda files: host.publish(next(numbers), 100, files),
        spec,
        missing,
        doi_spellings(spec),
        True,
        allowed,
    )


def on_figshare(stack: ExitStack) -> Case:
    dois = stack.enter_context(DoiSystem())
    host = stack.enter_context(Figshare(dois))

    def make(allowed: list[str], beside: Beside) -> FigshareProvider:
        client = GuardedClient(allowed)
        return FigshareProvider(
            client, beside.table, beside.clock, Dois(client, beside.clock, dois.url), api_url=host.api
        )

    spec, missing = "10.6084/m9.figshare.77", "10.6084/m9.figshare.78"
    spellings = (*doi_spellings(spec), "https://figshare.com/articles/dataset/a_title/77")
    allowed = [host.address, dois.address]
    return Case(host, make, lambda files: host.publish(77, files), spec, missing, spellings, True, allowed)


def on_dataverse(stack: ExitStack) -> Case:
    dois = stack.enter_context(DoiSystem())
    host = stack.enter_context(Dataverse(dois))
    numbers = itertools.count(1)

    def make(allowed: list[str], beside: Beside) -> DataverseProvider:
        client = GuardedClient(allowed)
        dois_ = Dois(client, beside.clock, dois.url)
        return DataverseProvider(client, beside.table, beside.clock, dois_, installations=[host.address])

    spec, missing = "10.7910/DVN/TJCLKP", "10.7910/DVN/NOSUCH"
    page = f"{host.url}/dataset.xhtml?persistentId=doi:{spec}&version=1.0"
    spellings = (*doi_spellings(spec), page, quote(page, safe=""))
    allowed = [host.address, dois.address]

    def publish(files: Files) -> object:
        return host.publish(spec, f"{next(numbers)}.0", files)

    return Case(host, make, publish, spec, missing, spellings, True, allowed)


def on_hydroshare(stack: ExitStack) -> Case:
    host = stack.enter_context(HydroShare())
    times = itertools.count(1_700_000_000, 60)

    def make(allowed: list[str], beside: Beside) -> HydroShareProvider:
        return HydroShareProvider(GuardedClient(allowed), beside.table, beside.clock, api_url=host.api)

    def publish(files: Files) -> None:
        host.resources[RESOURCE] = (next(times), files)

    page = f"{host.url}/resource/{RESOURCE}"
    spellings = (
        page,
        f"{page}/",
        quote(page, safe=""),
        f"10.4211/hs.{RESOURCE}",
        f"https://doi.org/10.4211/hs.{RESOURCE}",
    )
    return Case(host, make, publish, RESOURCE, "0" * 32, spellings, False, [host.address])


def on_ckan(stack: ExitStack) -> Case:
    host = stack.enter_context(Ckan("/en"))
    times = itertools.count(1_700_000_000, 60)

    def make(allowed: list[str], beside: Beside) -> CkanProvider:
        return CkanProvider(GuardedClient(allowed), beside.table, beside.clock)

    page = f"{host.url}/en/dataset/sea-turtles"
    spellings = (
        page,
        f"{page}/",
        quote(f"{page}/resource/1", safe=""),
    )
    missing = quote(f"{host.url}/en/dataset/nosuch", safe="")

    def publish(files: Files) -> object:
        return host.publish("sea-turtles", next(times), files)

    return Case(host, make, publish, quote(page, safe=""), missing, spellings, False, [host.address])


CASES = {
    "zenodo": on_zenodo,
    "figshare": on_figshare,
    "dataverse": on_dataverse,
    "hydroshare": on_hydroshare,
    "ckan": on_ckan,
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with ExitStack() as stack:
        case = CASES[request.param](stack)
        case.publish({"README.md": b"one\n"})
        yield case


def test_a_record_has_a_version_and_addresses(case: Case) -> None:
    resolution = case.provider.resolve(case.spec)
    assert resolution.repository.provider == case.provider.id
    assert resolution.repository.spec == case.spec
    assert resolution.repository.ref
    assert resolution.repository.repo_url == case.provider.check(case.spec)
    assert all(
        url.startswith(("http://", "https://"))
        for url in (resolution.repository.ref_url, resolution.repository.clone_url)
    )
    assert case.provider.resolve(case.spec) == resolution


def test_a_spec_without_a_version_means_the_newest(case: Case) -> None:
    first = case.provider.resolve(case.spec).repository
    case.publish({"README.md": b"two\n"})
    second = case.provider.resolve(case.spec).repository
    assert first.ref != second.ref


def test_the_newest_version_is_requested_again_after_a_while(case: Case) -> None:
    beside = Beside()
    first = case.make(case.allowed, beside).resolve(case.spec).repository
    requests = len(case.site.requests)
    case.publish({"README.md": b"two\n"})
    again = case.make(case.allowed, beside).resolve(case.spec).repository  # as another function would
    assert (again == first) == (len(case.site.requests) == requests) == case.versions
    beside.clock.advance(NEWEST_SECONDS + 1)
    assert case.make(case.allowed, beside).resolve(case.spec).repository.ref != first.ref


def test_a_withdrawn_record_can_be_launched_for_one_more_day_at_most(case: Case) -> None:
    beside = Beside()
    provider = case.make(case.allowed, beside)
    spec = provider.resolve(case.spec).repository.resolved_spec
    provider.resolve(spec)
    case.site.replies = dict.fromkeys((address.partition("?")[0] for address in case.site.requests), Reply(410))
    beside.clock.advance(24 * 3600)
    with pytest.raises(RecordWithdrawn):
        provider.resolve(spec)


def test_a_version_is_requested_once_a_day(case: Case) -> None:
    beside = Beside()
    provider = case.make(case.allowed, beside)
    spec = provider.resolve(case.spec).repository.resolved_spec
    version = provider.resolve(spec)
    requests = len(case.site.requests)
    beside.clock.advance(NEWEST_SECONDS + 1)
    assert case.make(case.allowed, beside).resolve(spec) == version
    assert (len(case.site.requests) == requests) == case.versions
    beside.clock.advance(VERSION_SECONDS)
    provider.resolve(spec)
    assert len(case.site.requests) > requests


def test_a_resolution_has_the_spelling_of_its_request(case: Case) -> None:
    provider = case.provider
    for spelling in (case.spec, *case.spellings):
        assert provider.resolve(spelling).repository.spec == spelling


def test_concurrent_requests_for_one_record_send_one_request(case: Case) -> None:
    provider, going, requests = case.provider, threading.Event(), []
    provider.resolve(case.spec)
    once = len(case.site.requests)
    provider, first = case.provider, provider.found

    def slow(spec: str) -> Repository:
        requests.append(spec)
        going.wait(20)
        return first(spec)

    provider.found = slow  # type: ignore[method-assign] # each call that gets that far is counted
    with ThreadPoolExecutor(8) as visitors:
        answers = [visitors.submit(provider.resolve, case.spec) for _ in range(8)]
        while not requests:
            time.sleep(0.01)  # no event tells when the first has begun
        time.sleep(0.2)  # for the others to ask too, if they would
        going.set()
        assert len({each.result().repository.ref for each in answers}) == 1
    assert len(requests) == 1
    assert len(case.site.requests) == 2 * once


def test_the_resolved_spec_leads_to_the_same_version_if_the_host_stores_versions(case: Case, tmp_path: Path) -> None:
    first = case.provider.resolve(case.spec).repository
    assert case.provider.resolve(first.resolved_spec).repository.ref == first.ref
    case.publish({"README.md": b"two\n"})
    if case.versions:
        again = case.provider.resolve(first.resolved_spec).repository
        assert (again.ref, again.resolved_spec) == (first.ref, first.resolved_spec)
        checkout(case, first.model_copy(), tmp_path / "copy")
        assert (tmp_path / "copy/README.md").read_bytes() == b"one\n"


def test_a_changed_record_is_never_checked_out_silently(case: Case, tmp_path: Path) -> None:
    first = case.provider.resolve(case.spec).repository
    case.publish({"README.md": b"two\n"})
    if not case.versions:
        with pytest.raises(RepositoryUnusable) as caught:
            checkout(case, first, tmp_path / "copy")
        assert "changed" in str(caught.value.facts["why"])


def checkout(case: Case, repository: object, folder: Path) -> None:
    contents = RecordContents(lambda _: case.provider, GuardedClient(case.allowed), SystemClock())
    contents.checkout(repository, folder)  # type: ignore[arg-type] # the answer of resolve


def test_files_of_a_record_are_checked_out_unchanged(case: Case, tmp_path: Path) -> None:
    files = {
        "README.md": b"hi\n",
        "r\u00e9sum\u00e9 2.txt": b"x",
        "requirements.txt": b"",
        "bytes": b"\0\xff\r\n" * 999,
        "e e": b"1",
    }
    case.publish(files)
    checkout(case, case.provider.resolve(case.spec).repository, tmp_path / "copy")
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == files


def test_listed_files_have_size_and_checksum(case: Case) -> None:
    case.publish({"a.txt": b"abc"})
    (file,) = case.provider.files(case.provider.resolve(case.spec).repository).files
    assert (file.path, file.size) == ("a.txt", 3)
    assert re.fullmatch(r"md5:9001.*|sha1:a999.*|sha256:ba78.*", file.checksum)


def test_a_record_counts_as_its_owners_own_commit(case: Case) -> None:
    repository = case.provider.resolve(case.spec).repository
    assert repository.on_branch_or_tag
    assert case.provider.on_branch_or_tag(repository)


def test_a_record_has_no_tree_so_it_is_its_own_environment_key(case: Case) -> None:
    repository = case.provider.resolve(case.spec).repository
    assert case.provider.tree(repository) is None
    with pytest.raises(RefNotFound):
        case.provider.read(repository, Entry("README.md", 0o100644, "x"))


def test_all_spellings_mean_one_record(case: Case) -> None:
    for spelling in case.spellings:
        assert case.provider.check(spelling) == case.provider.check(case.spec)
        assert case.provider.canonical(spelling) == case.provider.canonical(case.spec)
        assert case.provider.resolve(spelling).repository.ref == case.provider.resolve(case.spec).repository.ref


def test_a_missing_record_is_reported(case: Case) -> None:
    with pytest.raises(RepositoryNotFound) as caught:
        case.provider.resolve(case.missing)
    assert caught.value.facts["url"] == case.provider.check(case.missing)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "x y",
        "\0",
        "%00",
        "%ff",
        "a" * 10_000,
        "../../etc/passwd",
        "-x",
        "--upload-pack=id",
        "file:///etc/passwd",
        "10.1/%0d%0ax",
        "http://",
    ],
)
def test_a_spec_of_another_kind_is_refused_without_a_request(case: Case, spec: str) -> None:
    for ask in (case.provider.check, case.provider.canonical, case.provider.resolve):
        with pytest.raises(BadSpec) as caught:
            ask(spec)
        assert caught.value.facts["why"]
    assert case.site.requests == []


def test_a_private_host_is_forbidden_unless_allowed(case: Case) -> None:
    with pytest.raises(ForbiddenAddress):
        case.make([], Beside()).resolve(case.spec)


def test_a_rate_limited_host_and_an_unreachable_host_have_different_errors(case: Case) -> None:
    case.provider.resolve(case.spec)
    paths = {address.partition("?")[0] for address in case.site.requests}
    limited = Reply(429, b"", {"Retry-After": "60"})
    for reply, error in ((limited, HostLimited), (Reply(503), HostUnreachable), (Reply(200, b"<p>"), HostUnreachable)):
        case.site.replies = dict.fromkeys(paths, reply)
        with pytest.raises(error):
            case.provider.resolve(case.spec)


def refusing(case: Case, reply: Reply) -> type[BinderyError]:
    """Return the error of a launch when the host gives this reply to all requests about a record."""
    paths = {address.partition("?")[0] for address in case.site.requests}
    case.site.replies = dict.fromkeys(paths, reply)
    with pytest.raises(BinderyError) as caught:
        case.provider.resolve(case.spec)
    return caught.type


@pytest.mark.parametrize(
    ("status", "left", "error"),
    [
        (404, "9", RecordNotFound),
        (401, "9", RecordRestricted),
        (403, "9", RecordRestricted),
        (451, "9", RepositoryBlocked),
        (410, "9", RecordWithdrawn),
        (403, "0", HostLimited),
        (429, "9", HostLimited),
    ],
)
def test_each_reason_for_an_unavailable_record_has_its_own_error(
    case: Case, status: int, left: str, error: type[BinderyError]
) -> None:
    """Each reason that makes a record unavailable has an error of its own.

    `Retry-After` is in every answer, as in Zenodo's recorded ones.
    """
    case.provider.resolve(case.spec)
    reply = Reply(status, {"message": "no"}, {"Retry-After": "60", "X-RateLimit-Remaining": left})
    assert refusing(case, reply) is error


def test_a_rate_limited_host_is_not_requested_until_its_time_is_over(case: Case) -> None:
    case.provider.resolve(case.spec)
    path = next(address.partition("?")[0] for address in case.site.requests)
    case.site.replies[path] = Reply(429, b"", {"Retry-After": "60"})
    beside = Beside()
    provider = case.make(case.allowed, beside)
    with pytest.raises(HostLimited) as caught:
        provider.resolve(case.spec)
    assert caught.value.facts["at"] == beside.clock.now() + 60
    requests = len(case.site.requests)
    case.site.replies.clear()
    with pytest.raises(HostLimited):
        provider.resolve(case.spec)
    assert len(case.site.requests) == requests
    beside.clock.advance(61)
    assert provider.resolve(case.spec).repository.ref


def test_a_host_that_is_down_is_unreachable() -> None:
    for make in CASES.values():
        with ExitStack() as stack:
            case = make(stack)
            case.publish({"a": b""})
        with pytest.raises(HostUnreachable):
            case.provider.resolve(case.spec)


def test_a_provider_has_complete_display_texts(case: Case) -> None:
    display = case.provider.display
    assert all((display.name, display.example, display.regex, display.repo_label, display.repo_placeholder))
    assert case.provider.check(display.example)
    assert re.fullmatch(display.regex, display.example)
    assert display.ref_default is None


def registered(name: str) -> RepositoryProvider:
    return PROVIDERS[name](Settings.read({}), GuardedClient(), DictTable(), SystemClock())


ADDRESSES = {
    "zenodo": ["10.5281/zenodo.1", "https://doi.org/10.5281/zenodo.1"],
    "figshare": ["10.6084/m9.figshare.9782777.v1", "https://doi.org/10.6084/m9.figshare.9782777"],
    "dataverse": ["https://dataverse.harvard.edu/dataset.xhtml?persistentId=doi:10.7910/DVN/TJCLKP"],
    "hydroshare": [f"https://www.hydroshare.org/resource/{RESOURCE}/", f"https://doi.org/10.4211/hs.{RESOURCE}"],
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_pasted_address_matches_the_pattern_of_its_provider(name: str) -> None:
    provider = registered(name)
    for address in ADDRESSES[name]:
        match = re.fullmatch(str(provider.display.detect).replace("(?<", "(?P<"), address)
        assert match
        assert provider.check(match["repo"]) == provider.check(address)


SPECS = st.text(max_size=60) | st.from_regex(r"(doi:|https://[a-z.]{3,9}/)?10\.[0-9]{4}/[!-~]{1,20}", fullmatch=True)
LINKS = st.from_regex(
    r"https?(://|%3A%2F%2F)[!-~]{1,12}/(dataset|resource|articles|records)/[!-~]{1,40}", fullmatch=True
)
NEVER = re.compile(r"[\0-\x20\x7f-\U0010ffff\"\\<>^`{|}]")


@pytest.mark.parametrize("name", CASES)
def test_any_text_is_one_clean_address_or_refused(name: str) -> None:
    with ExitStack() as stack:
        provider = CASES[name](stack).provider

        @settings(deadline=None, database=None)
        @given(SPECS | LINKS)
        def ask(spec: str) -> None:
            try:
                page, canonical = provider.check(spec), provider.canonical(spec)
            except BadSpec:
                return
            assert re.match(r"https?://[a-z0-9]", page)
            assert not NEVER.search(page)
            assert not NEVER.search(canonical)
            assert not canonical.startswith("-")
            assert provider.check(quote(spec, safe="%")) == page
            assert provider.canonical(quote(canonical, safe="")) == canonical

        ask()


def test_every_record_host_has_contents_and_a_name_in_build_logs() -> None:
    record_providers = [name for name in PROVIDERS if isinstance(registered(name), RecordHost)]
    assert record_providers == list(RECORD_HOSTS) == list(CASES) == list(RECORDS)
