"""The rule that code runs only after the user has agreed to it once, where sessions can touch the user's machine."""

import json
import re
from dataclasses import replace

import pytest

from bindery.state.confirmed import KEPT_SECONDS
from bindery.web.base_url import Own
from bindery.web.pages.render import Page
from tests.fakes.in_memory_system import ASKED, Small

OWN = Own("http://127.0.0.1:8585", "")


def page(small: Small, spec: str = "o/r/HEAD", site: str = "none") -> Page:
    return small.system.site.launch(f"/v2/gh/{spec}", {}, OWN, site, "127.0.0.1")


def starts_at_once(response: Page) -> bool:
    data = re.search(r'id="told">(.*?)</script>', response.body)
    assert data
    return bool(json.loads(data[1])["autostart"])


def press(small: Small, spec: str = "o/r/HEAD") -> None:
    """Press the launch page's button, or do the same as the page does automatically."""
    small.open(spec, build_token=small.token(spec))


def test_a_link_from_outside_the_browser_asks_before_it_runs_code_and_asks_once() -> None:
    small = Small(isolated=False)
    assert not starts_at_once(page(small))
    assert not starts_at_once(page(small)), "looking at the page is no answer"
    press(small)
    assert starts_at_once(page(small))


@pytest.mark.parametrize(
    ("launched", "linked"),
    [("o/r/HEAD", "o/r/main"), ("o/r/HEAD", "o/r/" + "f" * 40), ("o/r/HEAD", "o/other/HEAD"), ("o/r/HEAD", "x/r/HEAD")],
)
def test_an_answer_counts_for_its_repository_and_ref_only(launched: str, linked: str) -> None:
    small = Small(isolated=False)
    press(small, launched)
    assert not starts_at_once(page(small, linked))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "None", "none, none"])
def test_a_page_of_another_site_asks_each_time(site: str) -> None:
    small = Small(isolated=False)
    press(small)
    assert not starts_at_once(page(small, site=site))


def test_our_start_page_asks_nothing() -> None:
    assert starts_at_once(page(Small(isolated=False), site="same-origin"))


def test_a_script_s_launch_is_no_answer_to_a_page() -> None:
    small = Small(isolated=False)
    small.system.open_launch(replace(ASKED, client="127.0.0.1"))
    assert not starts_at_once(page(small))


def test_an_answer_is_forgotten_half_a_year_after_the_last_launch() -> None:
    small = Small(isolated=False)
    press(small)
    small.clock.advance(KEPT_SECONDS - 1)
    press(small)
    small.clock.advance(KEPT_SECONDS - 1)
    assert starts_at_once(page(small))
    small.clock.advance(1)
    assert not starts_at_once(page(small))


@pytest.mark.parametrize("site", ["none", "cross-site", ""])
def test_with_isolated_sessions_every_link_starts_at_once_and_nothing_is_remembered(site: str) -> None:
    small = Small()
    press(small)
    assert starts_at_once(page(small, site=site))
    assert not [key for key in map(str, small.table.items()) if "confirmed#" in key]
