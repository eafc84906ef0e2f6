"""Web pages: their texts, their contents, and the rule that they run no scripts but the product's own files."""

import json
import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindery.web.errors.text import encodable
from bindery.web.pages.assets import FILES, asset, hashed
from bindery.web.pages.render import POLICY, LaunchLink, Page, error_page, home_page, launch_page
from tests.serving.displays import GIT, GITHUB

LINK = LaunchLink("gh", "GitHub", "o/r/HEAD", "https://github.com/o/r", "lab/tree/x.ipynb")


def page_data(page: Page) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page.body, re.DOTALL)
    assert match
    read = json.loads(match[1])
    assert isinstance(read, dict)
    return read


def test_a_launch_page_has_its_title_for_previews() -> None:
    page = launch_page(LINK, "token")
    assert page.status == 200
    assert '<meta property="og:title" content="GitHub: o/r/HEAD">' in page.body


def test_a_launch_page_contains_the_data_for_its_script() -> None:
    assert page_data(launch_page(LINK, "a.b.c")) == {
        "build": "/build/gh/o/r/HEAD",
        "token": "a.b.c",
        "path": "lab/tree/x.ipynb",
        "autostart": True,
        "spec": "o/r/HEAD",
    }


def test_the_stream_address_contains_the_spec_as_written_in_the_link() -> None:
    spec = "https%3A%2F%2Fgit.example.org%2Fa%20b|c^d/" + "x" * 2000
    assert page_data(launch_page(LaunchLink("git", "Git", spec, "u"), "t"))["build"] == f"/build/git/{spec}"


def test_a_spec_cannot_end_the_path_of_the_stream() -> None:
    link = LaunchLink("gh", "GitHub", "o/r/x?build_token=other#", "u")
    assert page_data(launch_page(link, "t"))["build"] == "/build/gh/o/r/x%3Fbuild_token=other%23"


@pytest.mark.parametrize(
    "page",
    [launch_page(LINK, "t"), error_page(404, "No", "nothing"), home_page([("gh", GITHUB)])],
    ids=["launch", "error", "home"],
)
def test_no_page_runs_or_frames_foreign_content(page: Page) -> None:
    assert page.headers["Content-Security-Policy"] == POLICY
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for directive in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert directive in POLICY
    assert not re.search(r"<style|\son\w+=|\sstyle=|javascript:", page.body)
    for script in re.findall(r"<script[^>]*>", page.body):
        assert 'type="application/json"' in script or 'src="/assets/' in script


def test_a_page_with_a_token_is_never_stored() -> None:
    assert launch_page(LINK, "t").headers["Cache-Control"] == "no-store"


def test_every_file_named_in_pages_exists() -> None:
    pages = [launch_page(LINK, "t"), error_page(404, "No", "nothing"), home_page([("gh", GITHUB)])]
    names = {name for page in pages for name in re.findall(r'(?:src|href)="/([^"]+)"', page.body)}
    files = {f"assets/{hashed(name)}" for name in ("launch.js", "home.js", "bindery.css")}
    assert names >= {*files, "badge_logo.svg"}
    for name in names:
        assert asset(name.removeprefix("assets/")), name


def test_no_launch_starts_before_the_visitor_confirms() -> None:
    page = launch_page(LINK, "t", autostart=False, isolated=False)
    assert page_data(page)["autostart"] is False
    assert '<button type="button" id="go" disabled>Launch</button>' in page.body
    asks = re.search(r'<section id="ask".*?</section>', page.body, re.DOTALL)
    assert asks
    assert "<strong>https://github.com/o/r</strong>" in asks[0]
    assert "on this machine" in asks[0]
    assert 'id="go"' not in launch_page(LINK, "t").body


def test_a_page_warns_when_sessions_are_not_isolated() -> None:
    assert "run as this user on this machine" in launch_page(LINK, "t", isolated=False).body
    assert "this machine" not in launch_page(LINK, "t").body


def test_without_javascript_a_page_shows_a_message() -> None:
    for page in (launch_page(LINK, "t"), home_page([("gh", GITHUB)])):
        assert re.search(r"<noscript>.*needs JavaScript.*</noscript>", page.body, re.DOTALL)


def test_a_non_web_address_is_no_link() -> None:
    body = launch_page(LaunchLink("gh", "GitHub", "s", "javascript:alert(1)"), "t").body
    assert 'href="javascript' not in body


HOSTILE = "</script><script>alert(1)</script>\"'&<!--\u2028\udcff"


def test_no_data_of_a_link_becomes_markup() -> None:
    link = LaunchLink("gh", HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    for page in (
        launch_page(link, HOSTILE, autostart=False, isolated=False, name=HOSTILE),
        error_page(400, HOSTILE, HOSTILE, name=HOSTILE),
        home_page([("gh", GITHUB)], name=HOSTILE),
    ):
        assert "<script>" not in page.body
        assert "<!--" not in page.body
        assert page.body.encode()
    data = page_data(launch_page(link, HOSTILE))
    assert data["token"] == HOSTILE
    assert data["path"] == HOSTILE


@given(text=st.text(st.characters(), max_size=60))
@settings(deadline=None, database=None)
def test_any_message_is_shown_as_text(text: str) -> None:
    body = error_page(500, "t", text).body
    paragraph = re.search(r'<p class="lines">(.*?)</p>', body, re.DOTALL)
    assert paragraph
    assert unescape(paragraph[1]) == encodable(text)
    assert not re.search(r"[<>]", paragraph[1])


def test_an_error_page_has_its_status_and_lines() -> None:
    page = error_page(429, "Too many", "one\ntwo", name="Replay")
    assert page.status == 429
    assert "<h1>Too many</h1>" in page.body
    assert "one\ntwo" in page.body
    assert "Too many - Replay" in page.body


def test_the_start_page_offers_every_provider() -> None:
    body = home_page([("gh", GITHUB), ("git", GIT)]).body
    assert '<option value="gh">GitHub</option>' in body
    assert '<option value="git">Git repository</option>' in body


@pytest.mark.parametrize("name", sorted(FILES))
def test_listed_files_exist_with_their_type(name: str) -> None:
    file = asset(name)
    assert file
    assert file.body
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert file.content_type.startswith(kinds[name.rpartition(".")[2]])


def test_badges_are_svg_images_without_scripts() -> None:
    badge = asset("images/badge.svg")
    assert badge == asset("badge.svg")
    logo = asset("badge_logo.svg")
    assert badge
    assert logo
    for drawing in (badge.body, logo.body):
        assert drawing.startswith(b"<svg")
        assert b"launch" in drawing
        assert b"binder" in drawing
        assert not re.search(rb"<script|href=|\son\w+=", drawing)


ESCAPES = ("", ".", "..", "../pages.py", "../templates/base.html", "images/../../pages.py", "/etc/passwd", "images/")
MISSPELT = ("..%2fpages.py", "launch.js/", "launch.js\x00", "LAUNCH.JS", "images\\badge.svg", "badge", "\udcff")


@pytest.mark.parametrize("name", [*ESCAPES, *MISSPELT])
def test_no_other_file_is_served(name: str) -> None:
    assert asset(name) is None
