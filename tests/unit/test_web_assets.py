"""The time for which browsers keep the files that pages need."""

import re

import pytest

from bindery.web.pages.assets import ASK_AGAIN, FILES, FOREVER, asset, hashed
from bindery.web.pages.render import LaunchLink, error_page, home_page, launch_page
from tests.serving.displays import GITHUB

LINK = LaunchLink("gh", "GitHub", "o/r/HEAD", "https://github.com/o/r")
OTHER_HASH = "0123456789ab"


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_name_with_the_content_hash_is_cached_for_a_year(file: str) -> None:
    plain, lasting = asset(file), asset(hashed(file))
    assert plain and lasting
    assert (lasting.body, lasting.content_type) == (plain.body, plain.content_type)
    assert re.fullmatch(r"public, max-age=31536000, immutable", lasting.cache_control)


@pytest.mark.parametrize("name", ["badge.svg", "badge_logo.svg", "images/badge.svg", "launch.js", "icon.svg"])
def test_a_plain_name_is_revalidated(name: str) -> None:
    file = asset(name)
    assert file
    assert file.cache_control == "no-cache"


def test_a_name_of_another_version_returns_this_version_without_caching() -> None:
    """A page from before a deployment keeps working, and its browser keeps no wrong content under that name."""
    file, now = asset(f"launch.{OTHER_HASH}.js"), asset("launch.js")
    assert file and now
    assert (file.body, file.cache_control) == (now.body, ASK_AGAIN)


@pytest.mark.parametrize(
    "name",
    [
        f"nothing.{OTHER_HASH}.js",
        f"launch.{OTHER_HASH}.css",
        f"launch.{OTHER_HASH[:-1]}.js",
        f"launch.{OTHER_HASH.upper()}.js",
        f"../assets.{OTHER_HASH}.py",
        f"launch.{OTHER_HASH}.{OTHER_HASH}.js",
    ],
)
def test_an_unknown_name_is_no_file(name: str) -> None:
    assert asset(name) is None


def test_every_file_that_a_page_loads_is_cached_for_a_year() -> None:
    """Badges are excluded, because pages show them as examples and their names must stay."""
    pages = [launch_page(LINK, "t"), error_page(404, "No", "nothing"), home_page([("gh", GITHUB)])]
    loaded = {name for page in pages for name in re.findall(r'(?:src|href)="/assets/([^"]+)"', page.body)}
    assert len(loaded) == len(FILES - {"badge.svg", "badge_logo.svg"})
    assert {file.cache_control for name in loaded if (file := asset(name))} == {FOREVER}
