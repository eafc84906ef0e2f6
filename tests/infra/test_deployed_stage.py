"""Tests of addresses and stages. At API Gateway's own address, paths and links begin with the stage; at the
operator's name they do not.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.infra.deployed.recorded import Recorder
from tests.infra.deployed.stories.acting import LINK, running
from tests.infra.deployed.system import HOST, STAGE, Deployed, deployed

NAME = "binder.example.org"


def own_links(page: Mapping[str, Any]) -> list[str]:
    """Return Bindery's own paths that a page links to or loads."""
    links: list[str] = re.findall(r'(?:href|src)="(/[^"]*)"', page["body"])
    return links


@pytest.fixture
def named() -> Iterator[Deployed]:
    with deployed(Recorder(), DomainName=NAME) as system:
        yield system


PATHS = ["/", f"/v2/{LINK}", "/v2/nowhere/o/r", "/sessions/none"]


@pytest.mark.parametrize("path", PATHS)
def test_every_link_of_a_page_begins_with_the_stage(deployment: Deployed, path: str) -> None:
    page = deployment.web("ServePages", "GET", path)
    assert len(own_links(page)) >= 4
    assert [link for link in own_links(page) if not link.startswith(f"/{STAGE}/")] == []


@pytest.mark.parametrize("path", PATHS)
def test_links_have_no_stage_at_a_domain_name_and_keep_it_at_the_api_address(named: Deployed, path: str) -> None:
    """Both addresses lead to every page. A link from the time before there was a name still does, too."""
    at_the_name = own_links(named.web("ServePages", "GET", path, host=NAME))
    at_the_api = own_links(named.web("ServePages", "GET", path))
    assert len(at_the_name) >= 4
    assert at_the_api == [f"/{STAGE}{link}" for link in at_the_name]


def test_a_launch_at_the_domain_name_records_that_name(named: Deployed) -> None:
    request = {"provider": "gh", "spec": "o/r/HEAD"}
    payload = json.loads(named.web("AnswerApi", "POST", "/api/launches", request, host=NAME)["body"])
    assert payload["address"] == f"https://{NAME}/api/launches/{payload['id']}"
    assert named.launch(payload["id"]).launch_host == f"https://{NAME}/"


def test_the_stream_address_of_a_launch_page_includes_the_stage(deployment: Deployed) -> None:
    page = deployment.web("ServePages", "GET", f"/v2/{LINK}")
    assert f'"build": "/{STAGE}/build/{LINK}"' in page["body"]


def test_redirects_include_the_stage(deployment: Deployed) -> None:
    launch = running(deployment)
    old, again = (deployment.web("ServePages", "GET", path) for path in ("/repo/o/r", f"/sessions/{launch}"))
    locations = [answer["multiValueHeaders"]["Location"] for answer in (old, again)]
    assert locations == [[f"/{STAGE}/v2/gh/o/r/master"], [f"/{STAGE}/v2/{LINK}"]]


def test_addresses_in_api_answers_include_the_stage(deployment: Deployed) -> None:
    created = deployment.web("AnswerApi", "POST", "/api/launches", {"provider": "gh", "spec": "o/r/HEAD"})
    payload = json.loads(created["body"])
    assert payload["address"] == f"https://{HOST}/{STAGE}/api/launches/{payload['id']}"
    assert deployment.launch(payload["id"]).launch_host == f"https://{HOST}/{STAGE}/"
    assert f"https://{HOST}/{STAGE}/v2/{LINK}" in deployment.stream(f"/build/{LINK}")
