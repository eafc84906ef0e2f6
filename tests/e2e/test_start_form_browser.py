"""Tests of the start page's form in a real browser. Each text that is typed or pasted makes the right link, or no
link.
"""

import pytest
from playwright.sync_api import Page, expect

from tests.serving.scripted_bindery import ScriptedBindery
from tests.serving.scripted_pages import bindery, browser, page, paste

__all__ = ["bindery", "browser", "page"]
DEMO = "gh/jupyterlab/jupyterlab-demo"
# Texts that people type or paste, and the link for each.
ADDRESSES = {
    "github.com/jupyterlab/jupyterlab-demo": f"{DEMO}/HEAD",
    "10.5281/zenodo.3242074": "zenodo/10.5281/zenodo.3242074",
    "doi:10.5281/zenodo.3242074": "zenodo/10.5281/zenodo.3242074",
    "codeberg.org/o/r": "git/https%3A%2F%2Fcodeberg.org%2Fo%2Fr/HEAD",
    "o/r/tree/dev": "gh/o/r/dev",
    "o/r/blob/dev/a/b.ipynb": "gh/o/r/dev?labpath=a%2Fb.ipynb",
    "https://github.com/o/r/tree/dev": "gh/o/r/dev",
    "git clone https://github.com/o/r.git": "gh/o/r/HEAD",
    "git clone --depth 1 -b dev git@github.com:o/r.git folder": "gh/o/r/dev",
    "[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/o/r/dev?labpath=a.ipynb)": (
        "gh/o/r/dev?labpath=a.ipynb"
    ),
    '<a href="https://mybinder.org/v2/gh/o/r/dev"><img src="https://mybinder.org/badge_logo.svg"></a>': "gh/o/r/dev",
    "https://mybinder.org//v2/gh/o/r//dev/": "gh/o/r/dev",
    "https://github.com/o/r/blob/dev/part%20%231.ipynb": "gh/o/r/dev?labpath=part%20%231.ipynb",
    "https://github.com/o/r/tree/dev/100%25%20%231": "gh/o/r/dev?urlpath=lab%2Ftree%2F100%2525%20%25231",
    "owner/repo": "gh/owner/repo/HEAD",
}
# Texts that make no link, and the message about each.
REFUSED = {
    "https://github.com/my org/repo": "leads to no repository",
    "https://example.org/": "leads to no repository",
    "https://github.com/jupyterlab": "open one of their repositories",
    "owner": "It should look like",
    "owner/repo/more": "It should look like",
    "o/r and more": "It should look like",
}


def link_of(bindery: ScriptedBindery, link: str) -> str:
    return f"{bindery.origin}/v2/{link}"


@pytest.mark.parametrize(("text", "link"), ADDRESSES.items())
def test_pasted_text_becomes_its_link(page: Page, bindery: ScriptedBindery, text: str, link: str) -> None:
    page.goto("/")
    paste(page, text)
    expect(page.locator("#link")).to_have_value(link_of(bindery, link))
    expect(page.get_by_role("button", name="Launch")).to_be_enabled()


@pytest.mark.parametrize("text", ["github.com/o/r", "o/r/tree/dev", "10.5281/zenodo.1", "https://github.com/o/r"])
def test_typed_text_is_rewritten_only_when_the_field_is_left(page: Page, bindery: ScriptedBindery, text: str) -> None:
    page.goto("/")
    page.locator("#repo").press_sequentially(text)
    expect(page.locator("#link")).not_to_have_value("")
    link = page.locator("#link").input_value()
    expect(page.locator("#repo")).to_have_value(text)
    page.keyboard.press("Tab")
    if text != "10.5281/zenodo.1":
        expect(page.locator("#repo")).to_have_value("o/r")
    expect(page.locator("#link")).to_have_value(link)


def test_a_pause_while_typing_an_address_does_not_change_the_field(page: Page, bindery: ScriptedBindery) -> None:
    page.goto("/")
    page.locator("#repo").press_sequentially("https://github.com/o/r")
    expect(page.locator("#link")).to_have_value(link_of(bindery, "gh/o/r/HEAD"))
    page.locator("#repo").press_sequentially("/tree/dev")
    expect(page.locator("#link")).to_have_value(link_of(bindery, "gh/o/r/dev"))
    page.keyboard.press("Tab")
    expect(page.locator("#repo")).to_have_value("o/r")
    expect(page.locator("#ref")).to_have_value("dev")


@pytest.mark.parametrize(("text", "hint"), REFUSED.items())
@pytest.mark.parametrize("how", ["paste", "type"])
def test_text_that_names_no_repository_makes_no_link(
    page: Page, bindery: ScriptedBindery, text: str, hint: str, how: str
) -> None:
    page.goto("/")
    if how == "paste":
        paste(page, text)
    else:
        page.locator("#repo").press_sequentially(text)
        page.keyboard.press("Tab")
    expect(page.locator("#hint")).to_contain_text(hint)
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    expect(page.locator("#link")).to_have_value("")


@pytest.mark.parametrize(
    ("second", "link"),
    [
        ("https://github.com/jupyterlab/jupyterlab-demo", f"{DEMO}/HEAD"),
        ("jupyterlab/jupyterlab-demo", f"{DEMO}/HEAD"),
        ("https://github.com/jupyterlab/jupyterlab-demo/tree/main", f"{DEMO}/main"),
        ("10.5281/zenodo.3242074", "zenodo/10.5281/zenodo.3242074"),
    ],
)
@pytest.mark.parametrize("typed", [False, True])
def test_a_second_paste_replaces_all_of_the_first(
    page: Page, bindery: ScriptedBindery, second: str, link: str, typed: bool
) -> None:
    page.goto("/")
    paste(page, "https://github.com/binder-examples/requirements/blob/dev/sub/index.ipynb")
    expect(page.locator("#path")).to_have_value("sub/index.ipynb")
    if typed:
        page.locator("#ref").fill("typed")
        page.locator("#path").fill("typed.ipynb")
    paste(page, second)
    expect(page.locator("#link")).to_have_value(link_of(bindery, link))


def test_a_name_typed_over_an_address_replaces_all_of_it(page: Page, bindery: ScriptedBindery) -> None:
    page.goto("/")
    paste(page, "https://github.com/binder-examples/requirements/blob/dev/sub/index.ipynb")
    expect(page.locator("#ref")).to_have_value("dev")
    page.locator("#repo").fill("o/r")
    expect(page.locator("#link")).to_have_value(link_of(bindery, "gh/o/r/HEAD"))


def test_a_branch_typed_during_the_detection_of_an_address_stays(page: Page, bindery: ScriptedBindery) -> None:
    bindery.detecting.opened.clear()
    page.goto("/")
    paste(page, "https://github.com/o/r")
    page.locator("#ref").fill("dev")
    bindery.detecting.opened.set()
    expect(page.locator("#repo")).to_have_value("o/r")
    expect(page.locator("#link")).to_have_value(link_of(bindery, "gh/o/r/dev"))


def test_a_repository_name_after_a_record_means_github_again(page: Page, bindery: ScriptedBindery) -> None:
    page.goto("/")
    paste(page, "10.5281/zenodo.3242074")
    expect(page.locator("#provider")).to_have_value("zenodo")
    paste(page, "o/r")
    expect(page.locator("#provider")).to_have_value("gh")
    expect(page.locator("#link")).to_have_value(link_of(bindery, "gh/o/r/HEAD"))


@pytest.mark.parametrize(
    ("provider", "text", "link"),
    [
        ("gl", "group/project", "gl/group%2Fproject/HEAD"),
        ("gl", "my.group/project", "gl/my.group%2Fproject/HEAD"),
        ("zenodo", "10.12345/of-our-own.1", "zenodo/10.12345/of-our-own.1"),
        ("git", "o/r", ""),
    ],
)
def test_a_repository_name_belongs_to_the_selected_provider(
    page: Page, bindery: ScriptedBindery, provider: str, text: str, link: str
) -> None:
    page.goto("/")
    page.locator("#provider").select_option(provider)
    page.locator("#repo").fill(text)
    expect(page.locator("#link")).to_have_value(link_of(bindery, link) if link else "")
    expect(page.locator("#provider")).to_have_value(provider)
