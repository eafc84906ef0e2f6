"""Where the record of a DOI lives."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.repositories.doi_directory import REMEMBERED_SECONDS
from bindery.adapters.repositories.guard import GuardedClient
from bindery.adapters.repositories.registry import PROVIDERS, make_doi_directory
from bindery.domain.errors import BadSpec, ForbiddenAddress, RepositoryNotFound
from bindery.ports.doi_directory import DoiDirectory, Home
from bindery.settings import Settings
from tests.fakes.table import DictTable
from tests.serving.record_hosts import DoiSystem
from tests.serving.site import Site, moved

RESOURCE = "b8f6eae9d89241cf8b5904033460af61"


class SetClock(SystemClock):
    """A clock that stands where it is put."""

    time = 1_800_000_000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def dois() -> Iterator[DoiSystem]:
    with DoiSystem() as server:
        yield server


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def directory(dois: DoiSystem, clock: SetClock) -> DoiDirectory:
    return directory_of(dois, clock)


def directory_of(dois: DoiSystem, clock: SetClock, *also: str) -> DoiDirectory:
    settings = Settings.read({"BINDERY_DOI_URL": dois.url})
    client = GuardedClient([dois.address, *also])
    table = DictTable()
    return make_doi_directory(settings, client, clock, lambda name: PROVIDERS[name](settings, client, table, clock))


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
def test_a_doi_goes_to_the_host_that_it_leads_to(
    directory: DoiDirectory, dois: DoiSystem, doi: str, target: str, home: Home
) -> None:
    dois.targets[doi.lower()] = target
    assert directory.home(doi) == home
    assert directory.home(quote(f"https://doi.org/{doi}", safe="")) == home


def test_a_doi_is_asked_for_once_in_a_while(directory: DoiDirectory, dois: DoiSystem, clock: SetClock) -> None:
    dois.targets["10.5281/zenodo.1"] = "https://zenodo.org/records/1"
    directory.home("10.5281/zenodo.1")
    directory.home("10.5281/ZENODO.1")
    assert len(dois.asked) == 1
    clock.time += REMEMBERED_SECONDS + 1
    directory.home("10.5281/zenodo.1")
    assert len(dois.asked) == 2


def test_an_address_that_redirects_to_a_hosts_is_followed_and_guarded(dois: DoiSystem, clock: SetClock) -> None:
    with Site() as host:
        dois.targets["10.1234/x"] = f"{host.url}/old"
        dataset = f"{host.url}/dataset.xhtml?persistentId=doi:10.1234/x"
        host.replies["/old"] = moved(dataset)
        assert directory_of(dois, clock, host.address).home("10.1234/x") == Home("dataverse", "10.1234/x")
        with pytest.raises(ForbiddenAddress):
            directory_of(dois, clock).home("10.1234/x")


def test_what_is_no_doi_or_nobodys_is_said_so(directory: DoiDirectory, dois: DoiSystem) -> None:
    with pytest.raises(BadSpec):
        directory.home("zenodo.1")
    assert dois.asked == []
    with pytest.raises(RepositoryNotFound) as caught:
        directory.home("10.1234/nothing")
    assert caught.value.facts == {"url": "https://doi.org/10.1234/nothing"}


def test_a_doi_of_another_host_is_said_to_lead_there(dois: DoiSystem, clock: SetClock) -> None:
    with Site() as host:
        dois.targets["10.1234/paper"] = f"{host.url}/papers/1"
        with pytest.raises(BadSpec) as caught:
            directory_of(dois, clock, host.address).home("10.1234/paper")
    assert f"{host.url}/papers/1" in str(caught.value.facts["why"])
