"""Tests that no page of another site starts a session by any means. Sessions are not isolated from this machine."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from playwright.sync_api import Browser, Page

from tests.serving.browser import chromium
from tests.serving.kernel import Session
from tests.serving.loopback import Loopback, Quiet
from tests.serving.runtime import STREAM, LocalRuntime

EVIL = "evil.example"
HOSTS = [EVIL, "localhost", "127.0.0.1"]

# Run in a page of another site. `at` is Bindery's address, `build` and `link` a launch there, `body` the API's way to ask for it.
SETTLED = "const settled = (it) => new Promise((done) => { it.onload = it.onerror = it.onmessage = done; });"
ATTACKS = {
    "fetch": "await (await fetch(build, {headers: {Accept: 'text/event-stream'}})).text()",
    "fetch without asking": "await fetch(build, {mode: 'no-cors', headers: {Accept: 'text/event-stream'}})",
    "fetch without referrer": """await fetch(build, {
        mode: 'no-cors', referrerPolicy: 'no-referrer', credentials: 'omit', headers: {Accept: 'text/event-stream'}})""",
    "fetch with a token of nobody": """await (await fetch(build + '?build_token=x', {
        headers: {Accept: 'text/event-stream'}})).text()""",
    "fetch the page for its token": "await (await fetch(link)).text()",
    "stream": "const source = new EventSource(build); await settled(source); source.close()",
    "picture": "const it = new Image(); it.src = build; await settled(it)",
    "picture of the page": "const it = new Image(); it.src = link; await settled(it)",
    "script": """const it = document.createElement('script'); it.src = build;
        document.body.append(it); await settled(it)""",
    "style": """const it = document.createElement('link'); it.rel = 'stylesheet'; it.href = build;
        document.head.append(it); await settled(it)""",
    "video": "const it = document.createElement('video'); it.src = build; await settled(it)",
    "prefetch": """const it = document.createElement('link'); it.rel = 'prefetch'; it.href = link;
        document.head.append(it); await settled(it)""",
    "frame": """const it = document.createElement('iframe'); it.src = link;
        document.body.append(it); await settled(it)""",
    "frame of the stream": """const it = document.createElement('iframe'); it.src = build;
        document.body.append(it); await settled(it)""",
    "frame of no origin": """const it = document.createElement('iframe'); it.sandbox = 'allow-scripts'; it.src = link;
        document.body.append(it); await settled(it)""",
    "object": """const it = document.createElement('object'); it.data = link;
        document.body.append(it); await settled(it)""",
    "api": "await fetch(at + '/api/launches', {method: 'POST', mode: 'no-cors', body})",
    "api with its type": """await (await fetch(at + '/api/launches', {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body})).text()""",
    "api with its type as a blob": """await fetch(at + '/api/launches', {
        method: 'POST', mode: 'no-cors', body: new Blob([body], {type: 'application/json'})})""",
    "beacon": "navigator.sendBeacon(at + '/api/launches', new Blob([body], {type: 'text/plain'}))",
}
FORMS = {
    "link": "location.href = link",
    "link to the stream": "location.href = build",
    "oldest link": "location.href = at + '/repo/owner/repository'",
    "link to what a session ran": "location.href = again",
    "refresh": """const it = document.createElement('meta'); it.httpEquiv = 'refresh';
        it.content = '0; url=' + link; document.head.append(it)""",
    "form": "form('GET', link, {})",
    "form to the stream": "form('GET', build, {Accept: 'text/event-stream'})",
    "form, POST": "form('POST', link, {})",
    "form to the stream, POST": "form('POST', build, {})",
    "form to the API": """form('POST', at + '/api/launches', {[body.slice(0, -1) + ', "x": "']: '"}'})""",
}
FORM = """const form = (method, action, fields) => {
    const it = document.createElement('form'); Object.assign(it, {method, action, enctype: 'text/plain'});
    for (const [name, value] of Object.entries(fields)) {
        const field = document.createElement('input'); Object.assign(field, {name, value}); it.append(field);
    }
    document.body.append(it); it.submit(); };"""
NAMED = "({at, build, link, again, body})"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium"), EVIL) as browser:  # the name's owner may let it point anywhere
        yield browser


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """Provide the port of another site's server."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!doctype html><title>elsewhere</title><button>win a prize</button>"
            self.send(200, page, {"Content-Type": "text/html"})

    with Loopback(Handler) as server:
        yield server.port


@pytest.fixture(scope="module", params=HOSTS)
def site(request: pytest.FixtureRequest, browser: Browser, elsewhere: int) -> Iterator[tuple[Page, str]]:
    """Provide a window for pages of another site, and their address: at another name, another name of this machine,
    another port.
    """
    context = browser.new_context()
    yield context.new_page(), f"http://{request.param}:{elsewhere}/"
    context.close()


@pytest.fixture
def page(site: tuple[Page, str]) -> Page:
    page, address = site
    page.goto(address)
    return page


@pytest.fixture
def target(bindery: LocalRuntime, plain: str) -> dict[str, str]:
    """Provide the target of the attack: a launch that would succeed at once."""
    launched = bindery.launch(plain, build_only="true").last
    assert launched.phase == "ready"
    return {
        "again": f"{bindery.address}/sessions/{launched.id.partition(':')[0]}",
        "at": bindery.address,
        "build": f"{bindery.address}/build/git/{plain}",
        "link": f"{bindery.address}/v2/git/{plain}",
        "body": f'{{"provider": "git", "spec": "{plain}"}}',
    }


@pytest.fixture(autouse=True)
def nothing_starts(bindery: LocalRuntime, target: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Check that the test adds no launch and no session. The test may call the yielded function to skip the check."""
    before = bindery.launches(), bindery.session_folders()
    expected = [before]
    yield expected.clear
    if expected:
        assert (bindery.launches(), bindery.session_folders()) == before


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_page_of_another_site_starts_no_launch(page: Page, target: dict[str, str], attack: str) -> None:
    tried = f"async {NAMED} => {{ {SETTLED} try {{ {ATTACKS[attack]} }} catch (error) {{ return String(error) }} }}"
    page.evaluate(tried, target)


@pytest.mark.parametrize("form", FORMS)
def test_a_page_of_another_site_that_navigates_here_starts_no_launch(
    page: Page, target: dict[str, str], form: str
) -> None:
    page.evaluate(f"{NAMED} => {{ {FORM} {FORMS[form]} }}", target)
    page.wait_for_url(f"{target['at']}/**")  # and all of it is loaded


def test_a_session_refuses_a_foreign_host_name_that_resolves_to_it(
    browser: Browser, bindery: LocalRuntime, plain: str, nothing_starts: Callable[[], None]
) -> None:
    nothing_starts()
    session = Session.of(bindery.launch(plain).last.data)
    port = session.url.rstrip("/").rpartition(":")[2]
    with browser.new_context() as context:
        answer = context.new_page().goto(f"http://{EVIL}:{port}/api/status?token={session.token}")
        assert answer
        assert answer.status == 403


def test_a_visitor_who_opens_a_link_and_confirms_gets_a_session(
    browser: Browser, bindery: LocalRuntime, target: dict[str, str], nothing_starts: Callable[[], None]
) -> None:
    nothing_starts()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(target["link"])
        page.get_by_role("button", name="Launch", exact=True).click()
        page.wait_for_url(lambda url: not url.startswith(bindery.address), wait_until="commit", timeout=60_000)
        assert page.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:8585"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "Cross-Site"},
        {"Sec-Fetch-Site": "none, cross-site"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "evil.example", "X-Forwarded-Host": "localhost"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": "evil.example#127.0.0.1"},
        {"Host": "0.0.0.0"},
        {"Host": ""},
    ],
    ids=str,
)
def test_forged_headers_start_no_launch(bindery: LocalRuntime, target: dict[str, str], headers: dict[str, str]) -> None:
    header_lines = [f"{name}: {value}".encode() for name, value in {**STREAM, **headers}.items()]
    streamed = bindery.raw(target["build"].removeprefix(target["at"]).encode(), *header_lines)
    assert streamed.status == 421 or '"status_code": 403' in streamed.body or streamed.status == 400
    created = bindery.raw(
        b"/api/launches", b"Content-Type: application/json", *header_lines, method=b"POST", body=target["body"].encode()
    )
    assert created.status in (400, 403, 421)


def test_the_launch_counter_that_these_tests_use_counts_a_launch(
    bindery: LocalRuntime, plain: str, nothing_starts: Callable[[], None]
) -> None:
    nothing_starts()
    before = bindery.launches()
    assert bindery.launch(plain, build_only="true").last.phase == "ready"
    assert bindery.launches() == before + 1
