"""Tests of the pages in a real browser, over an event stream that follows a script."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.serving.runtime import until
from tests.serving.scripted_bindery import Answer, Gate, ScriptedBindery
from tests.serving.scripted_pages import bindery, browser, page, paste

__all__ = ["bindery", "browser", "page"]  # fixtures

LINK = "/v2/gh/o/r/HEAD"
WAITING = {"phase": "waiting", "message": "Waiting for build to start...\n"}
FETCHING = {"phase": "fetching", "message": "Picked Git content provider.\n"}
BUILDING = {"phase": "building", "message": "Step 1\n"}
BUILT = {"phase": "built", "message": "Built image, launching...\n", "imageName": "i"}
FOUND = {"phase": "built", "message": "Found built image, launching...\n", "imageName": "i"}
LAUNCHING = {"phase": "launching", "message": "Launching server...\n"}


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Provide a gate that opens at the end, so that no stream outlives its test."""
    gate = Gate()
    yield gate
    gate.opened.set()


def steps(page: Page) -> dict[str, str]:
    """Return the steps of the progress list, each with the text beside it."""
    read: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("#steps li")].map(
            (item) => [item.dataset.step, item.querySelector(".state").textContent]))"""
    )
    return read


def log(page: Page) -> str:
    return page.locator("#lines").text_content() or ""


def test_a_launch_is_shown_phase_by_phase_and_ends_in_the_session(
    page: Page, bindery: ScriptedBindery, gate: Gate
) -> None:
    last = Gate()
    bindery.scripts = [[WAITING, FETCHING, BUILDING, gate, BUILT, LAUNCHING, last, bindery.ready()]]
    page.goto(f"{LINK}?urlpath=lab/tree/x.ipynb")
    expect(page.get_by_role("status")).to_have_text("Building the environment...")
    expect(page).to_have_title(re.compile("^Building the environment - GitHub: o/r/HEAD"))
    assert steps(page) == {"find": "done", "build": "under way", "start": "", "open": ""}
    expect(page.locator("[aria-current=step]")).to_contain_text("Build its environment")
    gate.opened.set()
    expect(page.get_by_role("status")).to_have_text("Starting the session...")
    assert steps(page) == {"find": "done", "build": "done", "start": "under way", "open": ""}
    last.opened.set()
    page.wait_for_url("**/session/abc/**")
    assert bindery.sessions == ["/session/abc/lab/tree/x.ipynb?token=s3cret"]
    assert bindery.requests[0].target == "/build/gh/o/r/HEAD?build_token=build%20token&resumes=1"
    assert len(bindery.requests) == 1


def test_a_build_that_was_not_needed_is_shown_as_built_before(page: Page, bindery: ScriptedBindery, gate: Gate) -> None:
    bindery.scripts = [[FOUND, LAUNCHING, gate]]
    page.goto(LINK)
    expect(page.get_by_role("status")).to_have_text("Starting the session...")
    assert steps(page) == {"find": "done", "build": "built before", "start": "under way", "open": ""}


def test_the_query_of_the_link_is_sent_to_the_session_with_the_token(page: Page, bindery: ScriptedBindery) -> None:
    bindery.scripts = [[FOUND, bindery.ready()]]
    page.goto(
        f"{LINK}?urlpath=git-pull%3Frepo%3Dhttps%253A%252F%252Fgithub.com%252Fo%252Fr%26urlpath%3Dlab%26token%3Dmine"
    )
    page.wait_for_url("**/session/abc/**")
    arrived = urlsplit(bindery.sessions[0])
    assert arrived.path == "/session/abc/git-pull"
    assert parse_qs(arrived.query) == {"repo": ["https://github.com/o/r"], "urlpath": ["lab"], "token": ["s3cret"]}


def test_notes_are_shown_before_the_session_opens(page: Page, bindery: ScriptedBindery) -> None:
    ready = bindery.ready()
    bindery.scripts = [[FOUND, {**ready, "message": f"Large files are missing.\n{ready['message']}"}]]
    page.goto(LINK)
    expect(page.locator("#reason")).to_have_text("Large files are missing.")
    expect(page.locator("#again")).to_be_hidden()
    page.locator("#open").click()
    page.wait_for_url(lambda url: url.startswith(str(ready["url"])))


def test_going_back_from_the_session_does_not_launch_again(page: Page, bindery: ScriptedBindery) -> None:
    bindery.scripts = [[FOUND, bindery.ready()]]
    page.goto("/")
    page.goto(LINK)
    page.wait_for_url("**/session/abc/**")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Open a repository as a live session")
    assert len(bindery.requests) == 1


@pytest.mark.parametrize(
    "urlpath",
    [
        *("//evil.example/session/abc/x", "https://evil.example/", "\\\\evil.example", "../../other/", "/lab"),
        "http://user:password@localhost:{port}/session/abc/",
    ],
)
def test_the_page_opens_no_address_outside_the_session(
    page: Page, bindery: ScriptedBindery, gate: Gate, urlpath: str
) -> None:
    bindery.checked = False
    bindery.scripts = [[FOUND, bindery.ready(), gate]]
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"{LINK}?urlpath={urlpath.format(port=bindery.port)}")
    expect(page.get_by_role("alert")).to_contain_text("asks for a page outside of it")
    expect(page.locator("#again")).to_be_hidden()
    assert (
        page.get_by_role("link", name="Open the session").get_attribute("href") == f"{bindery.session_url}?token=s3cret"
    )
    assert not any("evil" in url.partition("?")[0] or "s3cret" in url for url in urls)


@pytest.mark.parametrize("url", ["javascript:alert(1)//", "not an address", "file:///etc/"])
def test_only_a_web_address_is_opened_as_a_session(page: Page, bindery: ScriptedBindery, gate: Gate, url: str) -> None:
    bindery.scripts = [[FOUND, bindery.ready(url=url), gate]]
    page.goto(LINK)
    expect(page.get_by_role("alert")).to_contain_text("The session's address cannot be read.")
    expect(page.locator("#open")).to_be_hidden()


def test_a_failure_is_shown_with_its_reason_its_log_and_a_retry_link(
    page: Page, bindery: ScriptedBindery, gate: Gate
) -> None:
    reason = "apt.txt asks for <b>Debian</b> packages, which is missing here: install them.\n"
    bindery.scripts = [[WAITING, BUILDING, {"phase": "failed", "message": reason}, gate], [FOUND, bindery.ready()]]
    page.goto(f"{LINK}?labpath=x.ipynb")
    expect(page.get_by_role("alert")).to_contain_text(reason.strip())
    expect(page.locator("h1")).to_have_text("The launch failed")
    expect(page.locator("#log")).to_have_attribute("open", "")
    expect(page.locator("#lines")).to_contain_text("Step 1")
    assert log(page) == "Waiting for build to start...\nStep 1\n"
    assert steps(page) == {"find": "done", "build": "failed", "start": "", "open": ""}
    page.get_by_role("link", name="Launch again").click()
    page.wait_for_url("**/session/abc/doc/tree/x.ipynb?token=s3cret")


def test_a_broken_connection_resumes_at_the_last_event(page: Page, bindery: ScriptedBindery, gate: Gate) -> None:
    first = [{**WAITING, "id": "l1:1"}, {**BUILDING, "id": "l1:2"}]
    bindery.scripts = [first, [first[1], {**BUILDING, "message": "Step 2\n", "id": "l1:3"}, gate]]
    page.goto(LINK)
    page.locator("summary").click()
    expect(page.locator("#lines")).to_contain_text("Step 2")
    assert [request.last_event_id for request in bindery.requests] == [None, "l1:2"]
    assert log(page) == "Waiting for build to start...\nStep 1\nStep 2\n"
    expect(page.get_by_role("status")).to_have_text("Building the environment...")


def test_equal_lines_of_a_log_are_all_shown(page: Page, bindery: ScriptedBindery, gate: Gate) -> None:
    bindery.scripts = [[BUILDING, BUILDING, {**BUILDING, "id": "l1:1"}, {**BUILDING, "id": "l1:2"}, gate]]
    page.goto(LINK)
    expect(page.locator("#lines")).to_have_text("Step 1\n" * 4)


def test_a_refused_stream_is_reported_and_can_be_retried(page: Page, bindery: ScriptedBindery) -> None:
    page.goto(LINK)
    expect(page.locator("h1")).to_have_text("The connection was lost")
    bindery.scripts = [[FOUND, bindery.ready()]]
    page.get_by_role("button", name="Connect again").click()
    page.wait_for_url("**/session/abc/**")
    assert bindery.requests[0].target == bindery.requests[1].target


def stands(phase: str, *log: str, **more: object) -> dict[str, object]:
    """Return a launch's state in the API's form."""
    return {"id": "l1", "phase": phase, "log": log, **more}


def test_a_page_refused_as_a_watcher_polls_until_its_session(page: Page, bindery: ScriptedBindery) -> None:
    ready = bindery.ready()
    session = {"url": ready["url"], "token": ready["token"], "notes": []}
    bindery.looks = [stands("building", "Waiting for build to start...", "Step 1"), stands("ready", **session)]
    page.goto(LINK)
    expect(page.locator("#crowd")).to_contain_text("Too many people are watching")
    expect(page.get_by_role("status")).to_have_text("Building the environment...")
    expect(page.locator("#lines")).to_have_text("Waiting for build to start...\nStep 1\n")
    assert steps(page) == {"find": "done", "build": "under way", "start": "", "open": ""}
    page.wait_for_url("**/session/abc/**")
    assert bindery.created == [{"provider": "gh", "spec": "o/r/HEAD", "build_token": "build token"}]
    assert len(bindery.requests) == 1


def test_a_page_that_waits_for_a_build_polls_instead_of_streaming(page: Page, bindery: ScriptedBindery) -> None:
    """The log goes on after the last line of the stream. The page shows no trouble."""
    lines = [{**BUILDING, "message": f"Step {n}\n"} for n in (1, 2, 2)]
    bindery.scripts = [[WAITING, *lines, {"event": "ask", "id": "3"}]]
    logs = [("Waiting", "Step 1", "Step 2", "Step 2"), ("Step 2", "Step 2", "Step 3"), ("Step 2", "Step 3", "Step 4")]
    bindery.looks = [stands("building", *log) for log in logs]
    page.goto(LINK)
    expect(page.locator("#lines")).to_have_text(re.compile("Step 4"), timeout=40_000)
    assert [line for line in log(page).splitlines() if "Step" in line] == [f"Step {n}" for n in (1, 2, 2, 3, 4)]
    expect(page.locator("#crowd")).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("Building the environment...")
    assert [request["build_token"] for request in bindery.created] == ["build token"]
    bindery.looks = [stands("starting"), stands("ready", url=bindery.session_url, token="s3cret", notes=[])]
    page.wait_for_url("**/session/abc/**", timeout=40_000)
    assert len(bindery.requests) == 1


def test_a_stream_that_the_server_ends_on_purpose_shows_no_interruption(
    page: Page, bindery: ScriptedBindery, gate: Gate
) -> None:
    bindery.scripts = [
        [{**FOUND, "id": "1"}, {**LAUNCHING, "id": "2"}, {"event": "again", "id": "2", "retry": 300}],
        [gate, bindery.ready()],
    ]
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
            const status = document.getElementById("status"); // the session has none
            const hear = () => { window.said = [...(window.said ?? []), status.textContent]; };
            if (status) new MutationObserver(hear).observe(status, { childList: true, characterData: true, subtree: true });
        });"""
    )
    page.goto(LINK)
    until(lambda: len(bindery.requests) == 2)
    assert bindery.requests[1].last_event_id == "2"
    expect(page.get_by_role("status")).to_have_text("Starting the session...")
    assert not [words for words in page.evaluate("window.said") if "interrupted" in words]
    gate.opened.set()
    page.wait_for_url("**/session/abc/**")


def test_polling_intervals_grow_and_are_randomised(page: Page, bindery: ScriptedBindery) -> None:
    bindery.looks = [stands("building")]
    # Each wait is noted, and ends a hundred times as soon.
    page.add_init_script(
        "const real = window.setTimeout; window.waits = [];"
        "window.setTimeout = (work, wait) => { if (wait >= 1000) waits.push(wait); return real(work, wait / 100); };"
    )
    schedules = []
    for _ in range(2):
        page.goto(LINK)
        until(lambda: page.evaluate("() => waits.length") >= 9)
        schedules.append(page.evaluate("() => waits.slice(0, 9)"))
    for waits in schedules:
        for place, wait in enumerate(waits):
            about = min(15_000, 2_000 * 1.5**place)
            assert 0.5 * about <= wait <= 1.5 * about
    assert schedules[0] != schedules[1]


def test_a_refused_page_polls_less_and_less_often_and_never_gives_up(page: Page, bindery: ScriptedBindery) -> None:
    ready = bindery.ready()
    bindery.looks = [stands("ready", url=ready["url"], token=ready["token"], notes=[])]
    bindery.answers = [(429, {"Retry-After": "5"}, {}), (503, {"Retry-After": "5"}, {"code": "busy"})] * 4
    page.add_init_script(
        "const real = window.setTimeout;"
        "window.setTimeout = (work, wait) => { if (wait >= 1000) name += ` ${wait}`; return real(work, wait / 1000); };"
    )
    page.goto(LINK)
    page.wait_for_url("**/session/abc/**")
    waits = [float(wait) for wait in page.evaluate("() => name").split()]
    assert len(waits) == 8
    for place, wait in enumerate(waits):
        about = min(120_000, 5_000 * 2**place)
        assert about <= wait <= 2 * about


@pytest.mark.parametrize("told", ["0", "Thu, 01 Jan 2026 00:00:00 GMT"])
def test_without_a_valid_retry_after_the_page_uses_its_own_intervals(
    page: Page, bindery: ScriptedBindery, told: str
) -> None:
    ready = bindery.ready()
    bindery.looks = [stands("ready", url=ready["url"], token=ready["token"], notes=[])]
    bindery.answers = [(429, {"Retry-After": told}, {}), (502, {"Retry-After": told}, {})]
    page.add_init_script(
        "const real = window.setTimeout;"
        "window.setTimeout = (work, wait) => { name += ` ${wait}`; return real(work, wait / 1000); };"
    )
    page.goto(LINK)
    page.wait_for_url("**/session/abc/**")
    first, second = (float(wait) for wait in page.evaluate("() => name").split())
    assert 2_000 <= first <= 4_000
    assert 3_000 <= second <= 6_000


def test_a_polling_page_shows_how_many_builds_are_before_its_own(page: Page, bindery: ScriptedBindery) -> None:
    place = {"builds_before": 3, "message": "Waiting for a build slot: 3 builds are before this one."}
    bindery.looks = [stands("building", queue=place)]
    page.goto(LINK)
    expect(page.get_by_role("status")).to_have_text(str(place["message"]))


def test_a_streaming_page_shows_how_many_builds_are_before_its_own(
    page: Page, bindery: ScriptedBindery, gate: Gate
) -> None:
    place = {"phase": "waiting", "message": "Waiting for a build slot: 3 builds are before this one.\n"}
    bindery.scripts = [[place, gate]]
    page.goto(LINK)
    expect(page.get_by_role("status")).to_have_text(place["message"].strip())
    assert steps(page) == {"find": "done", "build": "under way", "start": "", "open": ""}


def test_a_polling_page_shows_each_log_line_once(page: Page, bindery: ScriptedBindery) -> None:
    bindery.looks = [stands("building", "1", "2", "3", "3"), stands("building", "3", "3", "4")]
    bindery.answers = [(429, {"Retry-After": "0.01"}, {})]
    page.goto(LINK)
    expect(page.locator("#lines")).to_have_text("1\n2\n3\n3\n4\n", timeout=15_000)
    assert len(bindery.created) == 2


def test_a_polled_launch_shows_the_message_of_its_failure(page: Page, bindery: ScriptedBindery) -> None:
    failure = {"code": "build_failed", "message": "The build failed (pip): no such package.", "status": 422}
    bindery.looks = [stands("failed", "Step 1", failure=failure)]
    page.goto(LINK)
    expect(page.get_by_role("alert")).to_contain_text("The build failed (pip): no such package.")
    expect(page.locator("#lines")).to_have_text("Step 1\n")
    expect(page.locator("#crowd")).to_be_hidden()


def test_a_refused_poll_shows_its_reason(page: Page, bindery: ScriptedBindery) -> None:
    bindery.looks = [stands("building")]
    bindery.answers = [(403, {}, {"code": "bad_build_token", "message": "This page's permit has expired."})]
    page.goto(LINK)
    expect(page.get_by_role("alert")).to_contain_text("This page's permit has expired.")
    assert len(bindery.created) == 1


EXPIRED: Answer = (403, {}, {"code": "bad_build_token", "message": "This page's permit has expired."})
AWAY = (429, {"Retry-After": "0.01"}, {"code": "too_many_requests"})


def test_a_page_whose_build_token_expired_during_refusals_gets_a_new_one(page: Page, bindery: ScriptedBindery) -> None:
    ready = bindery.ready()
    bindery.looks = [stands("ready", url=ready["url"], token=ready["token"], notes=[])]
    bindery.answers = [AWAY, EXPIRED]
    bindery.permits = ["first", "second"]
    page.goto(LINK)
    page.wait_for_url("**/session/abc/**")
    assert [request["build_token"] for request in bindery.created] == ["first", "first", "second"]


def test_a_page_whose_second_build_token_is_refused_shows_the_reason(page: Page, bindery: ScriptedBindery) -> None:
    bindery.looks = [stands("building")]
    bindery.answers = [AWAY, EXPIRED, EXPIRED]
    page.goto(LINK)
    expect(page.get_by_role("alert")).to_contain_text("This page's permit has expired.")
    assert len(bindery.created) == 3


def test_notes_are_shown_to_a_polling_page(page: Page, bindery: ScriptedBindery) -> None:
    ready = bindery.ready()
    session = {"url": ready["url"], "token": ready["token"], "notes": ["Large files are missing."]}
    bindery.looks = [stands("ready", **session)]
    page.goto(LINK)
    expect(page.locator("#reason")).to_have_text("Large files are missing.")


def test_a_reconnection_does_not_repeat_the_log(page: Page, bindery: ScriptedBindery, gate: Gate) -> None:
    events = [{**WAITING, "id": "l1:1"}, {**BUILDING, "id": "l1:2"}]
    bindery.scripts = [events]
    page.goto(LINK)
    page.locator("#reconnect").wait_for()
    bindery.scripts = [[*events, gate]]
    page.locator("#reconnect").click()
    expect(page.get_by_role("status")).to_have_text("Building the environment...")
    expect(page.locator("#lines")).to_have_text("Waiting for build to start...\nStep 1\n")


def test_a_page_opened_from_another_site_waits_for_confirmation(page: Page, bindery: ScriptedBindery) -> None:
    bindery.autostart, bindery.isolated = False, False
    bindery.scripts = [[FOUND, bindery.ready()]]
    page.goto(LINK)
    button = page.get_by_role("button", name="Launch")
    expect(button).to_be_enabled()
    expect(page.get_by_text("https://github.com/o/r", exact=True).last).to_be_visible()
    expect(page.get_by_text("Sessions here run as this user on this machine.")).to_be_visible()
    assert bindery.requests == []
    button.press("Enter")
    page.wait_for_url("**/session/abc/**")
    assert len(bindery.requests) == 1


def test_a_log_is_shown_as_plain_text_for_any_build_output(page: Page, bindery: ScriptedBindery, gate: Gate) -> None:
    lines = [
        "\x1b[32mgreen\x1b[0m <img src=x onerror=alert(1)>\n",
        "10%\r55%\r100%\r\n",
        "bell\x07 \x1b[2K\x1b[1Gdone\n",
    ]
    bindery.scripts = [[*({**BUILDING, "message": line} for line in lines), gate]]
    page.goto(LINK)
    page.locator("summary").click()
    expect(page.locator("#lines")).to_contain_text("done")
    assert log(page) == "green <img src=x onerror=alert(1)>\n100%\nbell done\n"


def test_a_very_long_log_is_shortened_in_the_browser(page: Page, bindery: ScriptedBindery, gate: Gate) -> None:
    bindery.scripts = [[*({**BUILDING, "message": f"line {n}\n"} for n in range(12_000)), gate]]
    page.goto(LINK)
    expect(page.locator("#lines")).to_contain_text("line 11999\n")
    lines = log(page).splitlines()
    assert len(lines) <= 5000
    assert lines[-1] == "line 11999"


def test_a_build_only_launch_ends_with_its_image(page: Page, bindery: ScriptedBindery, gate: Gate) -> None:
    bindery.scripts = [[FOUND, {"phase": "ready", "message": "Done! Image built\n", "imageName": "i"}, gate]]
    page.goto(LINK)
    expect(page.get_by_role("status")).to_have_text("The environment is built.")
    assert urlsplit(page.url).path == LINK


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("where", ["/", LINK, "/nowhere"])
def test_no_page_is_wider_than_its_window(
    page: Page, bindery: ScriptedBindery, gate: Gate, width: int, where: str
) -> None:
    bindery.scripts = [[{**BUILDING, "message": "x" * 500 + "\n"}, {"phase": "failed", "message": "y" * 500}, gate]]
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(where)
    if where == LINK:
        page.get_by_role("alert").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_start_page_recognises_an_address_and_makes_its_link_and_badge(
    page: Page, bindery: ScriptedBindery
) -> None:
    page.goto("/")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    paste(page, "https://github.com/o/r/blob/v1.0/notebooks/a%20(1).ipynb")
    expect(page.locator("#repo")).to_have_value("o/r")
    expect(page.locator("#ref")).to_have_value("v1.0")
    expect(page.locator("#path")).to_have_value("notebooks/a (1).ipynb")
    link = f"{bindery.origin}/v2/gh/o/r/v1.0?labpath=notebooks%2Fa%20%281%29.ipynb"
    expect(page.locator("#link")).to_have_value(link)
    expect(page.locator("#badge")).to_have_value(f"[![Binder]({bindery.origin}/badge_logo.svg)]({link})")


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("https://gitlab.com/group/sub/p/-/tree/v1/docs", "gl/group%2Fsub%2Fp/v1?urlpath=lab%2Ftree%2Fdocs"),
        ("https://nbviewer.org/github/o/r/blob/main/a.ipynb", "gh/o/r/main?labpath=a.ipynb"),
        ("git@github.com:o/r.git", "gh/o/r/HEAD"),
        ("https://mybinder.org/v2/gist/u/0123abcd/HEAD?urlpath=lab", "gist/u/0123abcd/HEAD?urlpath=lab"),
    ],
)
def test_addresses_of_every_provider_become_links(
    page: Page, bindery: ScriptedBindery, address: str, link: str
) -> None:
    page.goto("/")
    page.locator("#repo").fill(address)
    expect(page.locator("#link")).to_have_value(f"{bindery.origin}/v2/{link}")
    expect(page.get_by_role("button", name="Launch")).to_be_enabled()


def test_an_unknown_address_is_reported_and_cannot_be_launched(page: Page, bindery: ScriptedBindery) -> None:
    page.goto("/")
    page.locator("#repo").fill("https://example.org/")
    expect(page.locator("#hint")).to_contain_text("leads to no repository")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()


@pytest.mark.parametrize("folder", ["/tmp/repo.git", "~/git/repo", "./repo", "../o/r", "C:/o/r", "C:\\o\\r", "/o/r"])
def test_a_folder_is_not_accepted_as_a_repository_name(page: Page, folder: str) -> None:
    page.goto("/")
    page.locator("#repo").fill(folder)
    expect(page.locator("#hint")).to_contain_text("Folders are not fetched")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()


def test_a_late_detection_of_a_replaced_address_is_ignored(page: Page, bindery: ScriptedBindery) -> None:
    bindery.detecting.opened.clear()
    page.goto("/")
    with page.expect_request("**/api/detect**"):
        page.locator("#repo").fill("git@gitlab.com:group/p")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    page.locator("#repo").fill("o/r")
    with page.expect_response("**/api/detect**"):
        bindery.detecting.opened.set()
    page.wait_for_timeout(200)  # the page has read it by now
    expect(page.locator("#repo")).to_have_value("o/r")
    expect(page.locator("#link")).to_have_value(f"{bindery.origin}/v2/gh/o/r/HEAD")


def test_an_unrecognised_address_is_a_git_repository(page: Page, bindery: ScriptedBindery) -> None:
    page.goto("/")
    paste(page, "https://git.example.org/o/r.git")
    expect(page.locator("#provider")).to_have_value("git")
    expect(page.locator("#link")).to_have_value(
        f"{bindery.origin}/v2/git/https%3A%2F%2Fgit.example.org%2Fo%2Fr.git/HEAD"
    )


def test_the_start_page_works_with_the_keyboard_alone(page: Page, bindery: ScriptedBindery) -> None:
    bindery.scripts = [[FOUND, bindery.ready()]]
    page.goto("/")
    page.locator("#provider").focus()
    page.keyboard.press("Tab")
    page.keyboard.type("o")
    expect(page.locator("#hint")).to_contain_text("It should look like")
    page.keyboard.type("/r")
    expect(page.locator("#hint")).to_have_text("")
    page.keyboard.press("Tab")
    page.keyboard.type("feature/x")
    page.keyboard.press("Enter")
    page.wait_for_url("**/session/abc/**")
    assert bindery.requests[0].target.startswith("/build/gh/o/r/feature/x?")
