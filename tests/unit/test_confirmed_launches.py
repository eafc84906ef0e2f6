"""The rule that code runs only after the user has agreed to it once, where sessions can touch the user's machine."""

import json
import re
from dataclasses import replace

import pytest

from bindery.state.confirmed import KEPT_SECONDS
from bindery.web.base_url import Own
from bindery.web.pages.render import Page
from tests.fakes.in_memory_system import REQUEST, InMemorySystem

OWN = Own("http://127.0.0.1:8585", "")


def page(system: InMemorySystem, spec: str = "o/r/HEAD", site: str = "none") -> Page:
    return system.bindery.site.launch(f"/v2/gh/{spec}", {}, OWN, site, "127.0.0.1")


def starts_at_once(response: Page) -> bool:
    data = re.search(r'id="page-data">(.*?)</script>', response.body)
    assert data
    return bool(json.loads(data[1])["autostart"])


def press(system: InMemorySystem, spec: str = "o/r/HEAD") -> None:
    """Press the launch page's button, or do the same as the page does automatically."""
    system.open(spec, build_token=system.token(spec))


def test_a_link_from_outside_the_browser_needs_one_confirmation() -> None:
    system = InMemorySystem(isolated=False)
    assert not starts_at_once(page(system))
    assert not starts_at_once(page(system)), "looking at the page is no answer"
    press(system)
    assert starts_at_once(page(system))


@pytest.mark.parametrize(
    ("launched", "linked"),
    [("o/r/HEAD", "o/r/main"), ("o/r/HEAD", "o/r/" + "f" * 40), ("o/r/HEAD", "o/other/HEAD"), ("o/r/HEAD", "x/r/HEAD")],
)
def test_a_confirmation_is_valid_for_its_repository_and_ref_only(launched: str, linked: str) -> None:
    system = InMemorySystem(isolated=False)
    press(system, launched)
    assert not starts_at_once(page(system, linked))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "None", "none, none"])
def test_a_link_from_another_site_needs_a_confirmation_each_time(site: str) -> None:
    system = InMemorySystem(isolated=False)
    press(system)
    assert not starts_at_once(page(system, site=site))


def test_a_link_from_our_start_page_needs_no_confirmation() -> None:
    assert starts_at_once(page(InMemorySystem(isolated=False), site="same-origin"))


def test_a_launch_by_a_script_is_no_confirmation_for_pages() -> None:
    system = InMemorySystem(isolated=False)
    system.bindery.open_launch(replace(REQUEST, client="127.0.0.1"))
    assert not starts_at_once(page(system))


def test_a_confirmation_expires_half_a_year_after_the_last_launch() -> None:
    system = InMemorySystem(isolated=False)
    press(system)
    system.clock.advance(KEPT_SECONDS - 1)
    press(system)
    system.clock.advance(KEPT_SECONDS - 1)
    assert starts_at_once(page(system))
    system.clock.advance(1)
    assert not starts_at_once(page(system))


@pytest.mark.parametrize("site", ["none", "cross-site", ""])
def test_with_isolated_sessions_no_link_needs_a_confirmation(site: str) -> None:
    system = InMemorySystem()
    press(system)
    assert starts_at_once(page(system, site=site))
    assert not [key for key in map(str, system.table.items()) if "confirmed#" in key]
