"""The way from a DOI to the launch page of its record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.domain.errors import (
    BadRequest,
    BadSpec,
    BinderyError,
    ClientBanned,
    HostDown,
    HostLimited,
    HostUnreachable,
    RateLimited,
    RecordNotFound,
)
from bindery.ports.doi_directory import Home
from bindery.web.pages.routes import SiteRoutes
from bindery_local.aws_events import Context
from tests.fakes.in_memory_system import InMemorySystem
from tests.serving.rest_event import rest_event


def system_with(*, ban_networks: str = "", rate_limit: int = 10) -> InMemorySystem:
    world = InMemorySystem(ban_networks=ban_networks, rate_limit=rate_limit)
    world.bindery.ports.homes["10.1/x"] = Home("zenodo", "10.1/x")  # type: ignore[attr-defined] # an attribute of the fake
    world.bindery.ports.homes["10.1/c"] = Home("ckan", "https%3A%2F%2Fdata.example.org%2Fdataset%2Fa")  # type: ignore[attr-defined]
    return world


def test_a_doi_redirects_to_its_provider_with_the_query() -> None:
    site = system_with().bindery.site
    assert site.doi_redirect("/v2/doi/10.1/x", {}, "192.0.2.1") == "/v2/zenodo/10.1/x"
    there = site.doi_redirect("/v2/doi/10.1/c", {"urlpath": "lab?a=b&c"}, "192.0.2.1")
    assert there == "/v2/ckan/https%3A%2F%2Fdata.example.org%2Fdataset%2Fa?urlpath=lab%3Fa%3Db%26c"


def test_a_banned_client_causes_no_doi_lookup() -> None:
    with pytest.raises(ClientBanned):
        system_with(ban_networks="192.0.2.0/24").bindery.site.doi_redirect("/v2/doi/10.1/none", {}, "192.0.2.1")


def test_a_doi_lookup_counts_as_a_launch_of_its_client() -> None:
    site = system_with(rate_limit=1).bindery.site
    for _ in range(3):
        site.doi_redirect("/v2/doi/10.1/x", {}, "192.0.2.1")
    with pytest.raises(RateLimited):
        site.doi_redirect("/v2/doi/10.1/c", {}, "192.0.2.1")
    assert site.doi_redirect("/v2/doi/10.1/c", {}, "192.0.2.2")


def test_a_link_without_a_doi_is_refused() -> None:
    with pytest.raises(BadRequest):
        system_with().bindery.site.doi_redirect("/v2/doi//", {}, "192.0.2.1")


@dataclass(frozen=True)
class NoHome:
    """A DOI directory that answers each question with the same error."""

    error: BinderyError

    def home(self, spec: str, before_asking: Callable[[], object] = lambda: None) -> Home:
        raise self.error


@pytest.mark.parametrize(
    ("error", "heading"),
    [
        (HostUnreachable(host="doi.org", why="no answer in time"), "This link cannot be followed just now"),
        (HostDown(host="doi.org", since=0), "This link cannot be followed just now"),
        (HostLimited(host="doi.org", at=0), "This link cannot be followed just now"),
        (RateLimited(limit=10, seconds=60), "This link cannot be followed just now"),
        (RecordNotFound(url="https://doi.org/10.1/x"), "This link cannot be followed"),
        (BadSpec(spec="10.1/x", why="it leads to another host"), "This link cannot be followed"),
        (BadRequest(why="it is no DOI"), "This link cannot be followed"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_the_error_page_of_a_doi_has_an_accurate_heading(error: BinderyError, heading: str) -> None:
    site = replace(InMemorySystem().bindery.site, dois=lambda: NoHome(error))
    answer = SiteRoutes(site)(rest_event("/v2/doi/10.1/x"), cast("LambdaContext", Context("serve_pages")))
    assert f"<h1>{heading}</h1>" in str(answer["body"])
