"""Pages in a real browser, served by a Bindery whose event stream follows a script."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page

from tests.serving.browser import chromium
from tests.serving.scripted_bindery import ScriptedBindery


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def bindery() -> Iterator[ScriptedBindery]:
    with ScriptedBindery() as bindery:
        yield bindery


@pytest.fixture
def page(browser: Browser, bindery: ScriptedBindery) -> Iterator[Page]:
    """Provide a page. Its own scripts must never fail, and its content policy must never be violated."""
    context = browser.new_context(base_url=bindery.origin)
    page = context.new_page()
    page.set_default_timeout(15_000)
    wrong: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def raised(error: Error) -> None:
        wrong.append(str(error))

    page.on("console", said)
    page.on("pageerror", raised)
    yield page
    context.close()
    assert wrong == []


def paste(page: Page, text: str) -> None:
    """Replace the content of the repository's field by pasting text with the keyboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    page.locator("#repo").focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("ControlOrMeta+V")
