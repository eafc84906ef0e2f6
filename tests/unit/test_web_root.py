"""The root of paths. API Gateway's own address has a stage in its paths; a domain name of the operator has none."""

import re

import pytest

from bindery.ports.repository_provider import Display
from bindery.web.base_url import Own
from bindery.web.pages.assets import asset
from bindery.web.pages.render import LaunchLink, Page, error_page, home_page, launch_page
from tests.serving.displays import GITHUB
from tests.unit.test_web_pages import page_data

GATEWAY = "a1b2c3.execute-api.eu-central-1.amazonaws.com"
LINK = LaunchLink("gh", "GitHub", "o/r/HEAD", "https://github.com/o/r")
PROVIDERS: list[tuple[str, Display]] = [("gh", GITHUB)]


@pytest.mark.parametrize(
    ("public_url", "host", "stage", "address"),
    [
        ("", GATEWAY, "live", f"https://{GATEWAY}/live/"),
        ("", "binder.example.org", "live", "https://binder.example.org/"),
        ("", "127.0.0.1:8585", "", "https://127.0.0.1:8585/"),
        ("https://binder.example.org", GATEWAY, "live", "https://binder.example.org/"),
        ("https://example.org/binder/", GATEWAY, "live", "https://example.org/binder/"),
    ],
)
def test_the_address_includes_the_stage_only_at_the_gateway_host(
    public_url: str, host: str, stage: str, address: str
) -> None:
    own = Own.of(public_url, "https", host, stage)
    assert own.address == address
    assert own.origin == "/".join(address.split("/")[:3])


@pytest.mark.parametrize(
    "page",
    [
        launch_page(LINK, "t", root="/live"),
        error_page(404, "No", "nothing", root="/live"),
        home_page(PROVIDERS, root="/live"),
    ],
)
def test_all_addresses_of_a_page_are_below_its_root(page: Page) -> None:
    addresses = re.findall(r'(?:href|src)="(/[^"]*)"', page.body)
    assert addresses
    assert all(address.startswith("/live/") for address in addresses)
    assert 'data-root="/live"' in page.body


def test_the_stream_address_of_a_page_is_below_its_root() -> None:
    assert page_data(launch_page(LINK, "t", root="/live"))["build"] == "/live/build/gh/o/r/HEAD"


def test_the_start_form_sends_requests_below_its_root() -> None:
    script = asset("home.js")
    assert script
    addresses = re.findall(r"fetch\(`([^`]*)", script.body.decode())
    assert addresses
    assert all(address.startswith("${root}/api/") for address in addresses)
