"""The lookup of the host that has the record of a DOI."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import quote

import pytest

from bindery.adapters.hosts.records.doi_directory import FAILED_SECONDS, KEPT_SECONDS, LONGEST_SECONDS, RegisteredDois
from bindery.adapters.hosts.records.dois import Dois
from bindery.adapters.hosts.records.figshare import FigshareProvider
from bindery.adapters.hosts.registry import PROVIDERS, make_doi_directory
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.rate_limits import LONGEST_WAIT_ELSEWHERE
from bindery.domain.errors import (
    BadAddress,
    BadSpec,
    ForbiddenAddress,
    HostLimited,
    HostUnreachable,
    RateLimited,
    RecordNotFound,
)
from bindery.ports.doi_directory import DoiDirectory, Home
from bindery.settings import Settings
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable
from tests.serving.record_hosts import DoiSystem
from tests.serving.scripted import ScriptedServer
from tests.serving.site import MISSING, Reply, Site, moved

RESOURCE = "b8f6eae9d89241cf8b5904033460af61"


@pytest.fixture
def directory(dois: DoiSystem, clock: FakeClock) -> DoiDirectory:
    return directory_of(dois, clock)


def directory_of(
    dois: DoiSystem, clock: FakeClock, *also: str, table: DictTable | None = None, figshare: str = ""
) -> DoiDirectory:
    settings = Settings.read({"BINDERY_DOI_URL": dois.url, "BINDERY_FIGSHARE_HOSTS": figshare})
    client = GuardedClient([dois.address, *also])
    storage = table or DictTable()
    return make_doi_directory(
        settings, client, storage, clock, lambda name: PROVIDERS[name](settings, client, storage, clock)
    )


@pytest.mark.parametrize(
    ("doi", "target", "home"),
    [
        ("10.5281/zenodo.1", "https://zenodo.org/records/1", Home("zenodo", "10.5281/zenodo.1")),
        ("10.5281/zenodo.2", "https://zenodo.org/doi/10.5281/zenodo.2", Home("zenodo", "10.5281/zenodo.2")),
        ("10.1234/own", "https://www.zenodo.org/record/3", Home("zenodo", "10.1234/own")),
        (
            "10.6084/m9.figshare.9.v1",
            "https://figshare.com/articles/dataset/a/9/1",
            Home("figshare", "10.6084/m9.figshare.9.v1"),
        ),
        (
            "10.25384/S.9",
            "https://sage.figshare.com/articles/journal_contribution/a/9",
            Home("figshare", "10.25384/S.9"),
        ),
        (
            "10.7910/DVN/TJCLKP",
            "https://dataverse.harvard.edu/citation?persistentId=doi:10.7910/DVN/TJCLKP",
            Home("dataverse", "10.7910/DVN/TJCLKP"),
        ),
        (
            "10.17617/3.X/Y",
            "https://unlisted.example.org/file.xhtml?persistentId=doi:10.17617/3.X/Y",
            Home("dataverse", "10.17617/3.X/Y"),
        ),
        (f"10.4211/hs.{RESOURCE}", f"http://www.hydroshare.org/resource/{RESOURCE}", Home("hydroshare", RESOURCE)),
        (
            "10.26008/1912/x",
            "https://data.example.org/en/dataset/sea-turtles",
            Home("ckan", quote("https://data.example.org/en/dataset/sea-turtles", safe="")),
        ),
    ],
)
def test_a_doi_leads_to_its_record_host(
    directory: DoiDirectory, dois: DoiSystem, doi: str, target: str, home: Home
) -> None:
    dois.targets[doi.lower()] = target
    assert directory.home(doi) == home
    assert directory.home(quote(f"https://doi.org/{doi}", safe="")) == home


@pytest.mark.parametrize("kind", ["dataset", "journal_contribution"])
def test_a_page_of_another_site_that_looks_like_figshare_is_refused(
    dois: DoiSystem, clock: FakeClock, kind: str
) -> None:
    with Site() as site:
        dois.targets["10.9999/mine"] = f"{site.url}/articles/{kind}/A_title/55"
        with pytest.raises(BadSpec):
            directory_of(dois, clock, site.address).home("10.9999/mine")


@pytest.mark.parametrize("host", ["figshare.com.example.org", "notfigshare.com", "example.org"])
def test_a_host_name_similar_to_figshare_is_not_accepted(clock: FakeClock, host: str) -> None:
    client = GuardedClient()
    figshare = FigshareProvider(client, DictTable(), clock, Dois(client, clock, "https://doi.org"))
    page = "/articles/dataset/A_title/55"
    assert figshare.spec_of("10.9999/mine", f"https://{host}{page}") is None
    assert figshare.spec_of("10.9999/mine", f"https://sage.figshare.com{page}") == "10.9999/mine"
    assert figshare.spec_of("10.6084/m9.figshare.55.v1", f"https://{host}{page}") == "10.6084/m9.figshare.55.v1"


def test_the_host_name_of_an_institution_at_figshare_can_be_configured(dois: DoiSystem, clock: FakeClock) -> None:
    dois.targets["10.9999/ours"] = "https://research.example.edu/articles/dataset/A_title/55"
    home = directory_of(dois, clock, figshare="research.example.edu").home("10.9999/ours")
    assert home == Home("figshare", "10.9999/ours")


def test_a_doi_is_requested_again_only_after_a_while(
    directory: DoiDirectory, dois: DoiSystem, clock: FakeClock
) -> None:
    dois.targets["10.5281/zenodo.1"] = "https://zenodo.org/records/1"
    directory.home("10.5281/zenodo.1")
    directory.home("10.5281/ZENODO.1")
    assert len(dois.requests) == 1
    clock.advance(KEPT_SECONDS + 1)
    directory.home("10.5281/zenodo.1")
    assert len(dois.requests) == 2


def test_functions_share_the_answers_about_dois(dois: DoiSystem, clock: FakeClock) -> None:
    table = DictTable()
    dois.targets["10.5281/zenodo.1"] = "https://zenodo.org/records/1"
    first = directory_of(dois, clock, table=table).home("10.5281/zenodo.1")
    assert directory_of(dois, clock, table=table).home("10.5281/zenodo.1") == first
    assert len(dois.requests) == 1


def test_a_failed_doi_lookup_is_cached_for_a_minute(directory: DoiDirectory, dois: DoiSystem, clock: FakeClock) -> None:
    dois.targets["10.1234/nonsense"] = "javascript:alert(1)"
    dois.replies["/api/handles/10.1234/ill"] = Reply(500)
    for doi, error in (
        ("10.1234/nothing", RecordNotFound),
        ("10.1234/nonsense", BadAddress),
        ("10.1234/ill", HostUnreachable),
    ):
        before = len(dois.requests)
        facts = []
        for spelling in (doi, doi.upper(), f"doi:{doi}"):
            with pytest.raises(error) as caught:
                directory.home(spelling)
            facts.append(caught.value.facts)
        assert facts[0] == facts[1] == facts[2]
        assert len(dois.requests) == before + 1
    dois.targets["10.1234/nothing"] = "https://zenodo.org/records/9"
    clock.advance(FAILED_SECONDS - 1)
    with pytest.raises(RecordNotFound):
        directory.home("10.1234/nothing")
    clock.advance(2)
    assert directory.home("10.1234/nothing") == Home("zenodo", "10.1234/nothing")


def test_a_client_is_counted_before_the_first_request_for_a_doi_only(directory: DoiDirectory, dois: DoiSystem) -> None:
    dois.targets["10.5281/zenodo.1"] = "https://zenodo.org/records/1"
    counted: list[int] = []

    def count() -> None:
        counted.append(len(dois.requests))

    for doi in ("10.5281/zenodo.1", "10.5281/zenodo.1", "10.1234/nothing", "10.1234/nothing", "zenodo.1"):
        with suppress(RecordNotFound, BadSpec):
            directory.home(doi, count)
    assert counted == [0, 1]


def test_a_rate_limited_client_makes_no_request_and_affects_no_other(directory: DoiDirectory, dois: DoiSystem) -> None:
    dois.targets["10.5281/zenodo.1"] = "https://zenodo.org/records/1"

    def refuse() -> None:
        raise RateLimited(limit=1, seconds=9)

    with pytest.raises(RateLimited):
        directory.home("10.5281/zenodo.1", refuse)
    assert dois.requests == []
    assert directory.home("10.5281/zenodo.1")


class Hanging(Site):
    """A host that answers only when its test ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        self.ended.wait(30)
        return MISSING


class Slow(DoiSystem):
    """A DOI system that answers slowly."""

    seconds = 0.5

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        time.sleep(self.seconds)
        return super().found(path, query)


def test_a_doi_lookup_has_one_time_limit_for_all_its_requests(clock: FakeClock) -> None:
    """The time limit covers all requests together: a page that hangs gets only the time left over by the DOI system."""
    with Slow() as dois, Hanging() as host:
        dois.targets["10.1234/x"] = f"{host.url}/x"
        client = GuardedClient([dois.address, host.address])
        directory = RegisteredDois(Dois(client, clock, dois.url), {}, DictTable(), clock, seconds=1)
        with pytest.raises(HostUnreachable) as caught:
            directory.home("10.1234/x")
        host.ended.set()
    limit = re.search(r"within ([0-9.]+) seconds", str(caught.value.facts["why"]))
    assert limit
    assert float(limit[1]) <= 1 - Slow.seconds
    assert LONGEST_SECONDS < 29 / 2, "API Gateway ends the answer"


def test_an_address_that_redirects_to_a_record_host_is_followed_under_the_guard(
    dois: DoiSystem, clock: FakeClock
) -> None:
    with Site() as host:
        dois.targets["10.1234/x"] = f"{host.url}/old"
        dataset = f"{host.url}/dataset.xhtml?persistentId=doi:10.1234/x"
        host.replies["/old"] = moved(dataset)
        assert directory_of(dois, clock, host.address).home("10.1234/x") == Home("dataverse", "10.1234/x")
        with pytest.raises(ForbiddenAddress):
            directory_of(dois, clock).home("10.1234/x")


def test_a_landing_page_that_limits_requests_is_not_requested_again(dois: DoiSystem, clock: FakeClock) -> None:
    with Site() as host:
        client = GuardedClient([dois.address, host.address])
        page = f"{host.url}/old"
        host.replies["/old"] = Reply(429, b"", {"Retry-After": "600"})
        assert Dois(client, clock, dois.url).landing(page) == page
        with pytest.raises(HostLimited):
            Dois(client, clock, dois.url).landing(page)
        assert len(host.requests) == 1


def test_a_long_rate_limit_of_a_landing_page_ends_after_minutes(dois: DoiSystem, clock: FakeClock) -> None:
    with Site() as host:
        client = GuardedClient([dois.address, host.address])
        page = f"{host.url}/old"
        host.replies["/old"] = Reply(429, b"", {"Retry-After": "86400"})
        for _ in range(2):
            assert Dois(client, clock, dois.url).landing(page) == page
            clock.advance(LONGEST_WAIT_ELSEWHERE)
        assert len(host.requests) == 2


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_refusal_with_an_incomplete_body_still_gives_the_address(is_silent: bool, clock: FakeClock) -> None:
    def refuses(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n"
        if is_silent:
            host.closing.wait(20)

    with ScriptedServer(refuses) as host:
        client = GuardedClient([host.address], read_seconds=0.5)
        assert Dois(client, clock, "https://doi.org").landing(f"{host.url}/x") == f"{host.url}/x"


def test_an_invalid_or_unknown_doi_is_reported(directory: DoiDirectory, dois: DoiSystem) -> None:
    with pytest.raises(BadSpec):
        directory.home("zenodo.1")
    assert dois.requests == []
    with pytest.raises(RecordNotFound) as caught:
        directory.home("10.1234/nothing")
    assert caught.value.facts == {"url": "https://doi.org/10.1234/nothing"}


def test_a_doi_of_an_unsupported_host_is_reported_with_its_address(dois: DoiSystem, clock: FakeClock) -> None:
    with Site() as host:
        dois.targets["10.1234/paper"] = f"{host.url}/papers/1"
        with pytest.raises(BadSpec) as caught:
            directory_of(dois, clock, host.address).home("10.1234/paper")
    assert f"{host.url}/papers/1" in str(caught.value.facts["why"])
    assert "(Zenodo, Figshare, Dataverse, Hydroshare, CKAN)" in str(caught.value.facts["why"])
