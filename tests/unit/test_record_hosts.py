"""The peculiarities of each host of published records besides Zenodo."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.records.ckan import CkanProvider
from bindery.adapters.hosts.records.dataverse import DataverseProvider
from bindery.adapters.hosts.records.dataverse_pages import installations
from bindery.adapters.hosts.records.dois import Dois
from bindery.adapters.hosts.records.figshare import FigshareProvider
from bindery.adapters.hosts.records.hydroshare import HydroShareProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BadAddress,
    BadSpec,
    HostUnreachable,
    RefNotFound,
    RepositoryNotFound,
    RepositoryUnusable,
)
from bindery.domain.repository import Repository
from bindery_builder.contents.records import RecordContents
from tests.fakes.table import DictTable
from tests.serving.dataset_hosts import Ckan, Dataverse, HydroShare
from tests.serving.record_hosts import FIGSHARE_RECORDINGS, DoiSystem, Figshare
from tests.serving.site import Reply, moved

needs_recordings = pytest.mark.skipif(
    not FIGSHARE_RECORDINGS.exists(), reason=f"no recordings beside the project: {FIGSHARE_RECORDINGS.name}"
)
CLOCK = SystemClock()
RESOURCE = "b8f6eae9d89241cf8b5904033460af61"
DATASET = "10.7910/DVN/TJCLKP"


@pytest.fixture
def figshare_host(dois: DoiSystem) -> Iterator[Figshare]:
    with Figshare(dois) as server:
        yield server


@pytest.fixture
def figshare(figshare_host: Figshare, dois: DoiSystem) -> FigshareProvider:
    client = GuardedClient([dois.address, figshare_host.address])
    return FigshareProvider(client, DictTable(), CLOCK, Dois(client, CLOCK, dois.url), api_url=figshare_host.api)


@pytest.fixture
def dataverse_host(dois: DoiSystem) -> Iterator[Dataverse]:
    with Dataverse(dois) as server:
        server.publish(DATASET, "1.0", {"README.md": b"one\n"})
        server.publish(DATASET, "1.1", {"README.md": b"two\n", "data/deep/t.tab": b"a\tb\n"})
        yield server


@pytest.fixture
def dataverse(dataverse_host: Dataverse, dois: DoiSystem) -> DataverseProvider:
    client = GuardedClient([dois.address, dataverse_host.address])
    installations = [dataverse_host.address]
    return DataverseProvider(client, DictTable(), CLOCK, Dois(client, CLOCK, dois.url), installations=installations)


@pytest.fixture
def hydroshare_host() -> Iterator[HydroShare]:
    with HydroShare() as server:
        server.resources[RESOURCE] = (1_712_023_831, {"a.txt": b"1"})
        yield server


@pytest.fixture
def hydroshare(hydroshare_host: HydroShare) -> HydroShareProvider:
    return HydroShareProvider(GuardedClient([hydroshare_host.address]), DictTable(), CLOCK, api_url=hydroshare_host.api)


@pytest.fixture
def ckan_host() -> Iterator[Ckan]:
    with Ckan() as server:
        yield server


@pytest.fixture
def ckan(ckan_host: Ckan) -> CkanProvider:
    return CkanProvider(GuardedClient([ckan_host.address]), DictTable(), CLOCK)


Host = FigshareProvider | DataverseProvider | HydroShareProvider | CkanProvider
LayOut = Callable[..., tuple[dict[str, bytes], tuple[str, ...]]]


@pytest.fixture
def checkout(tmp_path: Path) -> LayOut:
    """Return a function from a provider, a resolved record and the permitted hosts to the record's files and notes."""

    def checked_out(provider: Host, repository: Repository, *allowed: str) -> tuple[dict[str, bytes], tuple[str, ...]]:
        folder = tmp_path / "copy"
        contents = RecordContents(lambda _: provider, GuardedClient(allowed), CLOCK)
        notes = contents.checkout(repository, folder).notes
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}, notes

    return checked_out


# Figshare


@needs_recordings
@pytest.mark.parametrize(
    ("doi", "version"),
    [("10.6084/m9.figshare.9782777.v1", 1), ("10.6084/m9.figshare.9782777.v2", 2), ("10.6084/m9.figshare.9782777", 3)],
)
def test_recorded_versions_resolve_and_the_newest_is_the_default(
    figshare: FigshareProvider, doi: str, version: int
) -> None:
    repository = figshare.resolve(doi).repository
    assert repository.ref == f"9782777.v{version}"
    assert repository.resolved_spec == f"10.6084/m9.figshare.9782777.v{version}"
    assert repository.ref_url == f"https://doi.org/10.6084/m9.figshare.9782777.v{version}"


@needs_recordings
def test_a_missing_version_of_a_recorded_article_is_reported(figshare: FigshareProvider) -> None:
    with pytest.raises(RefNotFound) as caught:
        figshare.resolve("10.6084/m9.figshare.9782777.v9")
    assert caught.value.facts["ref"] == "v9"


def test_an_article_of_an_institution_is_found_through_its_doi(
    figshare: FigshareProvider, figshare_host: Figshare, dois: DoiSystem
) -> None:
    figshare_host.publish(55, {"a": b"1"})
    figshare_host.replies["/v2/articles/55"] = Reply(200, {"id": 55, "doi": "10.25384/SAGE.55.v1"})
    dois.targets["10.25384/sage.55"] = "https://sage.example.com/articles/dataset/A_title/55"
    repository = figshare.resolve("10.25384/SAGE.55").repository
    assert (repository.ref, repository.resolved_spec) == ("55.v1", "10.25384/SAGE.55.v1")
    assert figshare.resolve(repository.resolved_spec).repository.ref == "55.v1"


def test_a_page_of_another_site_that_looks_like_an_article_is_refused(
    figshare: FigshareProvider, figshare_host: Figshare, dois: DoiSystem
) -> None:
    figshare_host.publish(55, {"a": b"1"})
    for target in ("https://other.example.com/articles/dataset/A_title/55", "https://other.example.com/x"):
        dois.targets["10.9999/mine"] = target
        with pytest.raises(BadSpec) as caught:
            figshare.resolve("10.9999/mine")
        assert target in str(caught.value.facts["why"])


def test_external_files_are_named_in_a_note(
    figshare: FigshareProvider, figshare_host: Figshare, checkout: LayOut
) -> None:
    figshare_host.links = ["https://example.com/large.bin"]
    doi = figshare_host.publish(55, {"a": b"1"})
    files, notes = checkout(figshare, figshare.resolve(doi).repository, figshare_host.address)
    assert files == {"a": b"1"}
    assert notes == ("https://example.com/large.bin is kept elsewhere and missing here.",)


def test_a_note_names_only_some_of_many_external_files(
    figshare: FigshareProvider, figshare_host: Figshare, checkout: LayOut
) -> None:
    figshare_host.links = [f"https://example.com/{number}" for number in range(40)]
    doi = figshare_host.publish(55, {"a": b"1"})
    _, notes = checkout(figshare, figshare.resolve(doi).repository, figshare_host.address)
    assert len(notes) == 11
    assert notes[-1] == "So it is with 30 more."


def test_all_of_many_files_of_an_article_are_fetched(
    figshare: FigshareProvider, figshare_host: Figshare, checkout: LayOut
) -> None:
    files = {f"f{number}": bytes([number]) for number in range(60)}
    doi = figshare_host.publish(55, files)
    assert checkout(figshare, figshare.resolve(doi).repository, figshare_host.address)[0] == files


# Dataverse


def test_the_newest_and_an_older_version_of_a_dataset_resolve(dataverse: DataverseProvider) -> None:
    newest = dataverse.resolve(DATASET).repository
    assert (newest.ref, newest.resolved_spec) == ("3035124.v1.1", f"{DATASET}@v1.1")
    assert newest.ref_url == f"https://doi.org/{DATASET}"
    assert dataverse.resolve(f"{DATASET}@v1.0").repository.ref == "3035124.v1.0"
    with pytest.raises(RefNotFound) as caught:
        dataverse.resolve(f"{DATASET}@v3.0")
    assert caught.value.facts == {"spec": DATASET, "ref": "v3.0"}


@pytest.mark.parametrize("page", ["file.xhtml", "citation"])
def test_the_doi_of_a_file_means_its_dataset(
    dataverse: DataverseProvider, dataverse_host: Dataverse, page: str
) -> None:
    dataverse_host.publish_file(f"{DATASET}/3YRRYJ", DATASET, page)
    repository = dataverse.resolve(f"{DATASET}/3YRRYJ").repository
    assert (repository.ref, repository.resolved_spec) == ("3035124.v1.1", f"{DATASET}@v1.1")


def test_the_citation_page_of_a_dataset_means_the_dataset(
    dataverse: DataverseProvider, dataverse_host: Dataverse
) -> None:
    dataverse_host.publish(DATASET, "2.0", {"a": b"1"}, page="citation")
    assert dataverse.resolve(DATASET).repository.ref == "3035124.v2.0"


def test_a_doi_that_redirects_to_a_dataset_is_followed(
    dataverse: DataverseProvider, dataverse_host: Dataverse, dois: DoiSystem
) -> None:
    dois.targets[DATASET.lower()] = f"{dataverse_host.url}/moved/here"
    dataverse_host.replies["/moved/here"] = moved(f"{dataverse_host.url}/dataset.xhtml?persistentId=doi:{DATASET}")
    assert dataverse.resolve(DATASET).repository.ref == "3035124.v1.1"


def test_the_address_of_a_file_is_accepted_at_known_installations(
    dataverse: DataverseProvider, dataverse_host: Dataverse
) -> None:
    dataverse_host.file_ids["33"] = f"doi:{DATASET}"
    url = f"{dataverse_host.url}/api/access/datafile/33"
    assert dataverse.resolve(quote(url, safe="")).repository.resolved_spec == f"{DATASET}@v1.1"
    assert dataverse.check("https://dataverse.harvard.edu/api/access/datafile/3323458")
    with pytest.raises(BadSpec):
        dataverse.check("https://example.org/api/access/datafile/33")


def test_the_list_of_installations_contains_host_names() -> None:
    assert {"dataverse.harvard.edu", "dataverse.nl", "borealisdata.ca"} <= installations()
    assert all(name == name.strip().lower() and "/" not in name and "." in name for name in installations())


def test_the_list_contains_hosts_of_the_installations_map_and_of_old_links() -> None:
    """The list has the hosts of both sources. The test looks for a few of each.

    The map is data/data.json in github.com/IQSS/dataverse-installations, and the old links are in repo2docker's dataverse.json.
    The map writes some of its hosts with a path, and some hosts of old links have another name today.
    """
    of_the_map = {"dataverse.yale.edu", "uwr.rodbuk.pl", "dv.dataverse.lv", "ssh.datastations.nl", "dataverse.deic.dk"}
    with_a_path = {"dataverse.acg.maine.edu", "soildata.mapbiomas.org"}
    of_old_links = {"dataverse.scholarsportal.info", "data.inra.fr", "datasets.socialhistory.org", "data.lipi.go.id"}
    assert of_the_map | with_a_path | of_old_links <= installations()
    assert len(installations()) == 147


def test_original_tables_are_fetched_and_restricted_files_are_named_in_a_note(
    dataverse: DataverseProvider, dataverse_host: Dataverse, checkout: LayOut
) -> None:
    files = {"README.md": b"hi\n", "data/t.tab": b"a\tb\n", "secret.txt": b"s"}
    dataset = dataverse_host.publish(DATASET, "2.0", files)
    dataset.tables["data/t.tab"] = b"a,b\r\n"
    dataset.restricted.add("secret.txt")
    contents, notes = checkout(dataverse, dataverse.resolve(DATASET).repository, dataverse_host.address)
    assert contents == {"README.md": b"hi\n", "data/t.csv": b"a,b\r\n"}
    assert notes == ("secret.txt is restricted and missing here.",)


def test_a_doi_that_leads_to_no_dataverse_is_reported(
    dataverse: DataverseProvider, dataverse_host: Dataverse, dois: DoiSystem
) -> None:
    dois.targets["10.1234/x"] = f"{dataverse_host.url}/records/1"
    with pytest.raises(BadSpec) as caught:
        dataverse.resolve("10.1234/x")
    assert "/records/1" in str(caught.value.facts["why"])


@pytest.mark.parametrize("target", ["http://[", "javascript:alert(1)", "file:///etc/passwd", "http://u:p@127.0.0.1/"])
def test_a_doi_with_an_invalid_address_is_refused(dataverse: DataverseProvider, dois: DoiSystem, target: str) -> None:
    dois.targets["10.1234/x"] = target
    with pytest.raises(BadAddress):
        dataverse.resolve("10.1234/x")


# HydroShare


def test_the_version_of_a_resource_is_the_time_of_its_last_change(hydroshare: HydroShareProvider) -> None:
    repository = hydroshare.resolve(f"10.4211/hs.{RESOURCE}").repository
    assert (repository.ref, repository.resolved_spec) == (f"{RESOURCE}.v1712023831", RESOURCE)
    assert repository.repo_url == repository.ref_url == hydroshare.check(RESOURCE)


def test_all_of_many_files_of_a_resource_are_fetched(
    hydroshare: HydroShareProvider, hydroshare_host: HydroShare, checkout: LayOut
) -> None:
    files = {f"folder {n % 3}/f{n}.txt": bytes([n]) for n in range(7)}
    hydroshare_host.resources[RESOURCE] = (1_712_023_831, files)
    checked_out, _ = checkout(hydroshare, hydroshare.resolve(RESOURCE).repository, hydroshare_host.address)
    assert checked_out == files


def test_an_address_of_another_site_is_refused(hydroshare: HydroShareProvider) -> None:
    for spec in (
        f"https://evil.example/resource/{RESOURCE}",
        f"10.4211/other.{RESOURCE}",
        RESOURCE + "0",
        RESOURCE[1:],
    ):
        with pytest.raises(BadSpec):
            hydroshare.check(spec)


@pytest.mark.parametrize("dates", [[], [{"type": "modified", "start_date": "yesterday"}], [{"type": "created"}]])
def test_a_resource_without_a_time_of_change_is_an_error_of_the_host(
    hydroshare: HydroShareProvider, hydroshare_host: HydroShare, dates: list[dict[str, str]]
) -> None:
    hydroshare_host.replies[f"/hsapi/resource/{RESOURCE}/scimeta/elements"] = Reply(200, {"dates": dates})
    with pytest.raises(HostUnreachable):
        hydroshare.resolve(RESOURCE)


# CKAN


def test_the_version_of_a_dataset_is_the_time_of_its_last_change(ckan: CkanProvider, ckan_host: Ckan) -> None:
    page = ckan_host.publish("turtles", 1_712_023_831, {"a": b"1"})
    repository = ckan.resolve(quote(page, safe="")).repository
    assert (repository.ref, repository.resolved_spec) == ("turtles.v1712023831", quote(page, safe=""))
    assert repository.repo_url == repository.ref_url == page


@pytest.mark.parametrize(
    "form", ["{page}/history/{activity}", "{page}/?activity_id={activity}", "{page}?activity_id={activity}"]
)
def test_an_activity_means_the_dataset_at_that_time(
    ckan: CkanProvider, ckan_host: Ckan, checkout: LayOut, form: str
) -> None:
    page = ckan_host.publish("turtles", 1_712_023_831, {"a": b"then"})
    ckan_host.publish("turtles", 1_712_023_999, {"a": b"now"})
    repository = ckan.resolve(quote(form.format(page=page, activity="act-turtles-0"), safe="")).repository
    assert repository.ref == "turtles.v1712023831"
    assert ckan.resolve(repository.resolved_spec).repository.ref == repository.ref
    assert checkout(ckan, repository, ckan_host.address)[0] == {"a": b"then"}


def test_past_activities_are_cached_and_the_current_dataset_is_not(ckan: CkanProvider, ckan_host: Ckan) -> None:
    page = ckan_host.publish("turtles", 1_712_023_831, {"a": b"then"})
    for address, questions in ((f"{page}/history/act-turtles-0", 1), (page, 2)):
        ckan_host.requests.clear()
        for _ in range(2):
            ckan.resolve(quote(address, safe=""))
        assert len(ckan_host.requests) == questions


def test_external_resources_are_fetched_and_equal_names_get_separate_folders(
    ckan: CkanProvider, ckan_host: Ckan, checkout: LayOut
) -> None:
    with Ckan() as elsewhere:
        elsewhere.replies["/x/a"] = Reply(200, b"from elsewhere, of another size than noted")
        elsewhere.replies["/y/"] = Reply(200, b"no name")
        ckan_host.links = [f"{elsewhere.url}/x/a", f"{elsewhere.url}/y/"]
        page = ckan_host.publish("turtles", 1_712_023_831, {"a": b"1", "b": b"2"})
        repository = ckan.resolve(quote(page, safe="")).repository
        files, _ = checkout(ckan, repository, ckan_host.address, elsewhere.address)
        assert files == {
            "res-0/a": b"1",
            "link-0/a": b"from elsewhere, of another size than noted",
            "b": b"2",
            "link-1": b"no name",
        }


def test_a_resource_name_that_leaves_the_folder_is_refused(
    ckan: CkanProvider, ckan_host: Ckan, checkout: LayOut
) -> None:
    ckan_host.links = [f"{ckan_host.url}/x/..%2f..%2fevil"]
    page = ckan_host.publish("turtles", 1_712_023_831, {"b": b"2"})
    with pytest.raises(RepositoryUnusable):
        checkout(ckan, ckan.resolve(quote(page, safe="")).repository, ckan_host.address)


@pytest.mark.parametrize(
    "page",
    ["/group/roger", "/dataset/", "/dataset/a%20b", "/..%2fx/dataset/a", "/%3Fx=/dataset/a", "/dataset/a/history/.."],
)
def test_an_address_without_a_dataset_is_refused_without_a_request(
    ckan: CkanProvider, ckan_host: Ckan, page: str
) -> None:
    with pytest.raises(BadSpec):
        ckan.resolve(quote(ckan_host.url + page, safe=""))
    assert ckan_host.requests == []


def test_a_missing_dataset_is_not_found(ckan: CkanProvider, ckan_host: Ckan) -> None:
    with pytest.raises(RepositoryNotFound) as caught:
        ckan.resolve(quote(f"{ckan_host.url}/dataset/nosuch", safe=""))
    assert caught.value.facts == {"url": f"{ckan_host.url}/dataset/nosuch"}
