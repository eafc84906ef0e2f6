"""Provider `zenodo` against a recorded page and a loopback API."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.records.dois import DOI, Dois, doi_in
from bindery.adapters.hosts.records.zenodo import ZenodoProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BadSpec,
    BinderyError,
    ForbiddenAddress,
    HostBusy,
    HostLimited,
    HostUnreachable,
    RecordNotFound,
    RecordRestricted,
    RecordWithdrawn,
)
from tests.fakes.table import DictTable
from tests.serving.record_hosts import RECORDINGS, DoiSystem, Zenodo
from tests.serving.site import Reply, moved

needs_recordings = pytest.mark.skipif(
    not RECORDINGS.exists(), reason=f"no recordings beside the project: {RECORDINGS.name}"
)


@pytest.fixture
def host(dois: DoiSystem) -> Iterator[Zenodo]:
    with Zenodo(dois) as server:
        server.publish(101, 100, {"a.txt": b"one"})
        server.publish(103, 100, {"a.txt": b"two", "deep/b.txt": b"2"})
        yield server


@pytest.fixture
def zenodo(dois: DoiSystem, host: Zenodo) -> ZenodoProvider:
    return provider(dois, host, dois.address, host.address)


def provider(dois: DoiSystem, host: Zenodo, *allowed: str) -> ZenodoProvider:
    client, clock = GuardedClient(allowed), SystemClock()
    return ZenodoProvider(client, DictTable(), clock, Dois(client, clock, dois.url), api_url=host.api)


@needs_recordings
@pytest.mark.parametrize("doi", ["10.5281/zenodo.3242074", "10.5281/zenodo.3242073"])
def test_the_recorded_record_resolves_as_with_binderhub(zenodo: ZenodoProvider, host: Zenodo, doi: str) -> None:
    host.publish_recorded()
    repository = zenodo.resolve(doi).repository
    assert (repository.ref, repository.resolved_spec) == ("3242074", "10.5281/zenodo.3242074")
    assert repository.ref_url == "https://doi.org/10.5281/zenodo.3242074"


@needs_recordings
def test_a_doi_that_redirects_to_the_recorded_page_is_that_record(
    zenodo: ZenodoProvider, host: Zenodo, dois: DoiSystem
) -> None:
    host.publish_recorded()
    dois.targets["10.1234/mine"] = f"{host.url}/from/elsewhere"
    host.replies["/from/elsewhere"] = moved(f"{host.url}/record/3242074")
    repository = zenodo.resolve("10.1234/mine").repository
    assert (repository.ref, repository.resolved_spec) == ("3242074", "10.5281/zenodo.3242074")
    assert "/record/3242074" in host.requests


def test_the_doi_of_a_version_is_that_version(zenodo: ZenodoProvider, host: Zenodo, dois: DoiSystem) -> None:
    repository = zenodo.resolve("10.5281/zenodo.101").repository
    assert (repository.ref, repository.resolved_spec) == ("101", "10.5281/zenodo.101")
    assert repository.clone_url == f"{host.api}/records/101"
    assert repository.repo_url == repository.ref_url == "https://doi.org/10.5281/zenodo.101"
    assert dois.requests == [], "its number is in it: nobody else is asked"


def test_the_doi_of_all_versions_is_the_newest_one_at_that_time(
    zenodo: ZenodoProvider, host: Zenodo, dois: DoiSystem
) -> None:
    first = zenodo.resolve("10.5281/zenodo.100").repository
    assert (first.ref, first.resolved_spec) == ("103", "10.5281/zenodo.103")
    assert first.repo_url == "https://doi.org/10.5281/zenodo.100"
    host.publish(107, 100, {"a.txt": b"three"})
    later = provider(dois, host, dois.address, host.address)  # It has an empty table of its own.
    assert later.resolve("10.5281/zenodo.100").repository.ref == "107"
    assert later.resolve(first.resolved_spec).repository.ref == "103"


def test_an_api_redirect_from_all_versions_to_one_is_followed(
    zenodo: ZenodoProvider, host: Zenodo, dois: DoiSystem
) -> None:
    host.replies["/api/records/100"] = moved(f"{host.api}/records/103")
    assert zenodo.resolve("10.5281/zenodo.100").repository.ref == "103"
    assert dois.requests == []


def test_a_record_with_a_foreign_doi_is_found(zenodo: ZenodoProvider, host: Zenodo) -> None:
    host.publish(205, 204, {"a": b""}, doi="10.1234/journal.77")
    repository = zenodo.resolve("10.1234/Journal.77").repository
    assert (repository.ref, repository.resolved_spec) == ("205", "10.1234/journal.77")


def test_the_number_in_a_foreign_doi_is_not_read_as_a_record(zenodo: ZenodoProvider) -> None:
    with pytest.raises(RecordNotFound):
        zenodo.resolve("10.9999/zenodo.101")


@pytest.mark.parametrize(
    "spec",
    [
        "10.5281/zenodo.101",
        "10.5281/zenodo.101/",
        "10.5281%2Fzenodo.101",
        "10.5281/ZENODO.101",
        "doi:10.5281/zenodo.101",
        "https://doi.org/10.5281/zenodo.101",
        "https%3A%2F%2Fdx.doi.org%2F10.5281%2Fzenodo.101",
        "{url}/records/101",
        "{url}/record/101/",
        "{url}/records/101?preview=1",
    ],
)
def test_all_spellings_mean_one_record(zenodo: ZenodoProvider, host: Zenodo, spec: str) -> None:
    address = spec.format(url=host.url)
    assert zenodo.check(address) == "https://doi.org/10.5281/zenodo.101"
    assert zenodo.canonical(address) == "10.5281/zenodo.101"
    assert zenodo.resolve(address).repository.ref == "101"


@pytest.mark.parametrize(
    "spec",
    [
        "10.5281",
        "10.5281/",
        "zenodo.101",
        "10.5281/../x",
        "10.5281//x",
        "10.5281/zenodo.1?x=y",
        "10.5281/zenodo.1#x",
        "10.5281/zen odo",
        "10.5281/-x",
        "10.5281/zenodo.1%0a",
        "https://evil.example/10.5281/zenodo.1",
        "https://doi.org.evil.example/10.5281/zenodo.1",
        "https://doi.org@evil.example/10.5281/zenodo.1",
        "https://zenodo.org.evil.example/records/1",
        "10.5281/zenodo.\u0661",
    ],
)
def test_an_invalid_doi_is_refused_without_a_request(zenodo: ZenodoProvider, host: Zenodo, spec: str) -> None:
    for ask in (zenodo.check, zenodo.canonical, zenodo.resolve):
        with pytest.raises(BadSpec):
            ask(spec)
    assert host.requests == []


def test_a_doi_of_another_host_is_reported_with_its_address(
    zenodo: ZenodoProvider, dois: DoiSystem, host: Zenodo
) -> None:
    dois.targets["10.6084/m9.figshare.1"] = f"{host.url}/articles/1"
    with pytest.raises(BadSpec) as caught:
        zenodo.resolve("10.6084/m9.figshare.1")
    assert "/articles/1" in str(caught.value.facts["why"])


def test_an_unknown_doi_is_not_found(zenodo: ZenodoProvider) -> None:
    for doi in ("10.5281/zenodo.999", "10.1234/nowhere"):
        with pytest.raises(RecordNotFound) as caught:
            zenodo.resolve(doi)
        assert caught.value.facts == {"url": f"https://doi.org/{doi}"}


def test_a_doi_that_leads_to_a_private_address_is_not_followed(dois: DoiSystem, host: Zenodo) -> None:
    dois.targets["10.1234/in"] = f"{host.url}/latest/meta-data"
    with pytest.raises(ForbiddenAddress):
        provider(dois, host, dois.address).resolve("10.1234/in")
    assert host.requests == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(410, RecordWithdrawn), (403, RecordRestricted), (429, HostLimited), (503, HostBusy)],
)
def test_each_refusal_of_the_api_has_its_own_error(
    zenodo: ZenodoProvider, host: Zenodo, dois: DoiSystem, status: int, error: type[BinderyError]
) -> None:
    host.replies["/api/records/101"] = Reply(status, {"message": "no"}, {"Retry-After": "60"})
    with pytest.raises(error):
        zenodo.resolve("10.5281/zenodo.101")


@pytest.mark.parametrize("body", [b"<html>", [], {}, {"id": "../../x", "doi": "10.5281/zenodo.101"}, {"id": None}])
def test_an_invalid_answer_is_an_error_of_the_host(zenodo: ZenodoProvider, host: Zenodo, body: object) -> None:
    host.replies["/api/records/101"] = Reply(200, body)
    with pytest.raises(HostUnreachable):
        zenodo.resolve("10.5281/zenodo.101")


def test_a_doi_whose_page_redirects_to_no_record_is_not_found(
    zenodo: ZenodoProvider, host: Zenodo, dois: DoiSystem
) -> None:
    """The DOI of all versions leads to such a page once the versions are withdrawn."""
    dois.targets["10.5281/zenodo.300"] = f"{host.url}/doi/10.5281/zenodo.300"
    with pytest.raises(RecordNotFound):
        zenodo.resolve("10.5281/zenodo.300")


def test_restricted_files_are_reported(zenodo: ZenodoProvider, host: Zenodo) -> None:
    """The metadata of a restricted record is public, but its files are not."""
    host.replies["/api/records/103/files"] = Reply(403, {"message": "Permission denied."}, {"Retry-After": "60"})
    with pytest.raises(RecordRestricted) as caught:
        zenodo.files(zenodo.resolve("10.5281/zenodo.103").repository)
    assert caught.value.facts == {"url": "https://doi.org/10.5281/zenodo.103"}


def test_listed_files_have_size_and_checksum(zenodo: ZenodoProvider) -> None:
    files = zenodo.files(zenodo.resolve("10.5281/zenodo.103").repository).files
    assert [(file.path, file.size) for file in files] == [("a.txt", 3), ("deep/b.txt", 1)]
    assert files[0].checksum == "md5:b8a9f715dbb64fd5c56e7783c6820a61"


def test_a_record_without_files_has_an_empty_list(zenodo: ZenodoProvider, host: Zenodo) -> None:
    host.replies["/api/records/103/files"] = Reply(200, {"enabled": False})
    assert zenodo.files(zenodo.resolve("10.5281/zenodo.103").repository).files == []


@settings(deadline=None, database=None)
@given(st.text(max_size=80) | st.from_regex(r"(doi:)?10\.[0-9]{4}/[!-~]{1,30}", fullmatch=True))
def test_a_doi_spec_is_normalised_or_refused(text: str) -> None:
    client, clock = GuardedClient(), SystemClock()
    zenodo = ZenodoProvider(client, DictTable(), clock, Dois(client, clock, "https://doi.org"))
    try:
        page = zenodo.check(text)
    except BadSpec:
        return
    doi = page.removeprefix("https://doi.org/")
    assert DOI.fullmatch(doi)
    assert not set(doi) & set(" \t\n\\\"'<>?#%@&") - {"@"}
    assert ".." not in doi.split("/")
    assert zenodo.canonical(text) == zenodo.canonical(doi) == doi
    assert doi_in(f"https://doi.org/{doi}") == doi
