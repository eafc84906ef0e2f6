"""Tests with pages of other sites in a real browser. Such pages start no launch here; a person with a direct request
is served.
"""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving.browser import chromium
from tests.serving.foreign_site import ForeignSite
from tests.serving.git_http import GitServer, make_repository
from tests.serving.runtime import LocalRuntime, until

EVIL = "evil.example"
QUESTION = "Launch this repository?"
REFUSED = "may not start code here"


@pytest.fixture(scope="module")
def runtime(git_server: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    home = tmp_path_factory.mktemp("foreign-pages") / "home"
    with LocalRuntime(home, allowed_private_hosts=git_server.address) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Provide the foreign site's port."""
    with ForeignSite() as site:
        yield site.port


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium"), EVIL) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


@pytest.fixture(scope="module")
def nowhere(git_server: GitServer) -> str:
    """Provide a spec for a launch that is created and then fails. The tests only need to see its creation."""
    make_repository(git_server.root / "foreign.git", {"README.md": "hello\n"})
    return f"{quote(git_server.url('foreign.git'), safe='')}/nowhere"


@pytest.fixture
def untouched(runtime: LocalRuntime) -> Iterator[Callable[[], None]]:
    """Provide a check that no launch was made since the test began. It also runs at the test's end."""
    before = runtime.launches(), runtime.sessions()

    def check() -> None:
        assert (runtime.launches(), runtime.sessions()) == before

    yield check
    check()


def own_port(runtime: LocalRuntime) -> str:
    return runtime.address.rpartition(":")[2]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), (EVIL, "127.0.0.1"), (EVIL, "localhost"), (EVIL, EVIL)],
)
def test_requests_of_a_foreign_page_start_no_launch(
    page: Page, runtime: LocalRuntime, port: int, nowhere: str, untouched: Callable[[], None], theirs: str, ours: str
) -> None:
    page.goto(f"http://{theirs}:{port}/")
    lines = page.evaluate("([at, spec]) => attack(at, spec)", [f"http://{ours}:{own_port(runtime)}", nowhere])
    untouched()
    results = dict(line.split(": ", 1) for line in lines)
    assert len(results) == 37
    if ours == EVIL:  # a name that another person lets point here: the only response is that it is not ours
        assert {results[f"{what} cors omit"] for what in ("stream", "page", "text", "json")} == {"TypeError"}
        return
    assert REFUSED in results["events"]
    assert REFUSED in results["stream cors omit"]
    assert REFUSED in results["json cors omit"]
    assert REFUSED in results["bearer"]
    assert {results[f"page cors {how}"] for how in ("omit", "include")} == {"TypeError"}, "a build token can be read"


@pytest.mark.parametrize("way", ["link", "quiet", "redirected", "opened", "sent", "form"])
@pytest.mark.parametrize("theirs", ["127.0.0.1", EVIL])
def test_a_visitor_from_a_foreign_page_has_to_confirm(
    page: Page, runtime: LocalRuntime, port: int, nowhere: str, theirs: str, way: str
) -> None:
    before = runtime.launches()
    page.goto(f"http://{theirs}:{port}/?to={quote(f'{runtime.address}/v2/git/{nowhere}', safe='')}")
    if way == "opened":
        with page.expect_popup() as popup:
            page.locator("#opened").click()
        arrived = popup.value
    else:
        page.locator(f"#{way}").click()
        arrived = page
    expect(arrived.locator("h1")).to_have_text(QUESTION)
    arrived.reload()
    expect(arrived.locator("h1")).to_have_text(QUESTION)
    button = arrived.get_by_role("button", name="Launch")
    expect(button).to_be_enabled()
    assert runtime.launches() == before
    button.click()
    until(lambda: runtime.launches() == before + 1)
    expect(arrived.get_by_role("alert")).to_contain_text("there is no branch, tag or commit called nowhere")


def test_a_typed_address_needs_one_confirmation(page: Page, runtime: LocalRuntime, nowhere: str) -> None:
    before, link = runtime.launches(), f"{runtime.address}/v2/git/{nowhere}-typed"
    for _ in range(2):
        page.goto(link)
        expect(page.locator("h1")).to_have_text(QUESTION)
        assert runtime.launches() == before
    page.get_by_role("button", name="Launch").click()
    until(lambda: runtime.launches() == before + 1)
    page.goto(link)
    until(lambda: runtime.launches() == before + 2)


def test_links_from_the_own_start_page_launch_without_confirmation(
    page: Page, runtime: LocalRuntime, nowhere: str
) -> None:
    before = runtime.launches()
    page.goto(f"{runtime.address}/")
    page.evaluate("(to) => { location.href = to; }", f"/v2/git/{nowhere}")
    until(lambda: runtime.launches() == before + 1)


def test_a_launch_page_cannot_be_framed(
    page: Page, runtime: LocalRuntime, port: int, nowhere: str, untouched: Callable[[], None]
) -> None:
    page.goto(f"http://{EVIL}:{port}/")
    page.evaluate(
        """(src) => new Promise((resolve) => {
            const frame = Object.assign(document.createElement("iframe"), {src, onload: resolve});
            document.body.append(frame);
        })""",
        f"{runtime.address}/v2/git/{nowhere}",
    )
    assert [frame.locator("#go").count() for frame in page.frames] == [0, 0]


def test_a_foreign_host_name_that_resolves_here_is_refused(
    page: Page, runtime: LocalRuntime, nowhere: str, untouched: Callable[[], None]
) -> None:
    answer = page.goto(f"http://{EVIL}:{own_port(runtime)}/v2/git/{nowhere}")
    assert answer is not None
    assert answer.status == 421


def arrive(page: Page, runtime: LocalRuntime, port: int, path: str, spec: str) -> None:
    """Open an address elsewhere that leads here, as if a person had typed it."""
    page.goto(f"http://{EVIL}:{port}/{path}?to={quote(f'{runtime.address}/v2/git/{spec}', safe='')}")
    page.wait_for_url(f"{runtime.address}/**")
    expect(page.locator("h1")).to_have_text(QUESTION)


def test_a_foreign_page_that_refreshes_to_a_launch_page_needs_confirmation(
    page: Page, runtime: LocalRuntime, port: int, nowhere: str, untouched: Callable[[], None]
) -> None:
    arrive(page, runtime, port, "refresh", nowhere)


def test_a_typed_foreign_address_that_redirects_here_needs_confirmation(
    page: Page, runtime: LocalRuntime, port: int, nowhere: str, untouched: Callable[[], None]
) -> None:
    arrive(page, runtime, port, "redirect", f"{nowhere}-redirected")
