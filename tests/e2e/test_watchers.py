"""Tests with more people than may watch at one time. No visitor is turned away, and watchers do not hold up the work."""

import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from bindery.domain.tokens import launch_id
from tests.serving.browser import chromium
from tests.serving.gate import Gate
from tests.serving.git_http import GitServer
from tests.serving.messages import check_readable
from tests.serving.runtime import STREAM, LocalRuntime, until
from tests.serving.watchers import may_watch

MANY = 300


def created(bindery: LocalRuntime, spec: str, **more: str | bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Create a launch by the API; return it, and the header that its maker has to show."""
    answer = bindery.client.post("/api/launches", json={"provider": "git", "spec": spec, **more})
    payload = answer.json()
    assert answer.status_code == 201, payload
    return payload, {"Authorization": f"Bearer {payload['launcher_token']}"}


def is_ready(bindery: LocalRuntime, payload: dict[str, Any], permit: dict[str, str]) -> dict[str, Any]:
    """Wait for the launch's end and return its state."""
    state: dict[str, Any] = {}

    def look() -> bool:
        state.update(bindery.client.get(payload["address"], headers=permit).json())
        return state["phase"] in ("ready", "failed")

    until(look, 120)
    assert state["phase"] == "ready", state
    return state


def test_five_visitors_with_two_watcher_slots_all_reach_a_session(
    home: Path, git_server: GitServer, held: str, gate: Gate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ExitStack() as stack:
        bindery = stack.enter_context(may_watch(home, git_server, 2))
        browser = stack.enter_context(chromium(tmp_path_factory.mktemp("chromium")))
        pages = [browser.new_page() for _ in range(5)]
        for page in pages:
            page.goto(f"{bindery.address}/v2/git/{held}?urlpath=api/status")
            if page is pages[0]:  # from outside of Bindery each link asks once
                page.get_by_role("button", name="Launch", exact=True).click()
            expect(page.get_by_role("status")).to_have_text("Building the environment...", timeout=120_000)
        asking = [page for page in pages if page.locator("#crowd").is_visible()]
        assert len(asking) == 3
        gate.open()
        for page in pages:
            page.wait_for_url(lambda url: not url.startswith(bindery.address), timeout=120_000)
            expect(page.locator("body")).to_contain_text("last_activity")
        assert len({page.url for page in pages}) == 5
        assert bindery.launches() == 5


def test_without_watcher_slots_a_page_polls_until_its_session(
    home: Path, git_server: GitServer, plain: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """WatchersAtOnce=0 suits an account that may reserve no concurrent executions."""
    with ExitStack() as stack:
        bindery = stack.enter_context(may_watch(home, git_server, 0))
        browser = stack.enter_context(chromium(tmp_path_factory.mktemp("chromium")))
        assert bindery.get(f"/build/git/{plain}", **STREAM).status_code == 503
        page = browser.new_page()
        page.goto(f"{bindery.address}/v2/git/{plain}?urlpath=api/status")
        page.get_by_role("button", name="Launch", exact=True).click()
        page.wait_for_url(lambda url: not url.startswith(bindery.address), timeout=120_000)
        expect(page.locator("body")).to_contain_text("last_activity")
        assert bindery.launches() == 1
        is_ready(bindery, *created(bindery, plain))


def test_a_script_reaches_its_session_while_all_watcher_slots_are_taken(
    home: Path, git_server: GitServer, plain: str, held: str, gate: Gate
) -> None:
    with may_watch(home, git_server, 1) as bindery, bindery.stream(held) as watching:
        watching.wait_for("waiting")
        refused = bindery.get(f"/build/git/{plain}", **STREAM)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert (refused.headers["access-control-allow-origin"], refused.headers["cache-control"]) == ("*", "no-store")
        payload = refused.json()
        assert payload["code"] == "busy"
        check_readable(payload["message"])
        assert "POST /api/launches" in payload["message"]
        assert bindery.launches() == 1, "a refusal starts nothing"
        ready = is_ready(bindery, *created(bindery, plain))
        assert httpx.get(f"{ready['url']}api/status", headers={"Authorization": f"token {ready['token']}"}).is_success
        gate.open()
        assert watching.finish().last.phase == "ready"


def test_a_watcher_slot_is_free_again_when_its_watcher_disconnects(
    home: Path, git_server: GitServer, held: str, gate: Gate
) -> None:
    with may_watch(home, git_server, 1) as bindery:
        with bindery.stream(held) as watching:
            watching.wait_for("waiting")
            assert bindery.get(f"/build/git/{held}", **STREAM).status_code == 503
        until(lambda: bindery.connections() <= 1)
        token = bindery.token(f"git/{held}", jti="later")

        def all_received() -> bool:
            with bindery.stream(held, build_token=token) as again:
                return again.response.status_code == 200

        until(all_received)
        gate.open()


def test_the_token_of_a_page_finds_the_launch_of_that_page_only(bindery: LocalRuntime, plain: str) -> None:
    before = bindery.launches()
    token = bindery.token(f"git/{plain}", jti="page")
    first = bindery.launch(plain, build_token=token).last
    payload, permit = created(bindery, plain, build_token=token)
    assert payload["id"] == launch_id("page")
    assert bindery.launches() == before + 1
    assert is_ready(bindery, payload, permit)["token"] == first.data["token"]
    for wrong in (
        token[:-4],
        bindery.token("git/other", jti="page"),
        bindery.token(f"git/{plain}", jti="x", seconds=-1),
    ):
        answer = bindery.client.post("/api/launches", json={"provider": "git", "spec": plain, "build_token": wrong})
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_build_token")
    assert bindery.launches() == before + 1


def watch_all(bindery: LocalRuntime, target: str, number: int) -> Iterator[socket.socket]:
    """Open as many streams as `number` says."""
    host, _, port = bindery.address.removeprefix("http://").partition(":")
    head = f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
    for _ in range(number):
        connection = socket.create_connection((host, int(port)), timeout=60)
        connection.sendall(head)
        yield connection


def heard_by_all(connections: list[socket.socket], word: bytes, received: dict[socket.socket, bytes]) -> None:
    """Read from all connections until each has heard the word."""
    with selectors.DefaultSelector() as ready:
        for connection in connections:
            if word not in received[connection]:
                ready.register(connection, selectors.EVENT_READ, connection)
        while ready.get_map():
            some = ready.select(60)
            assert some, f"{len(ready.get_map())} never heard {word!r}"
            for connection in [key.data for key, _ in some]:
                read = connection.recv(65536)
                received[connection] += read
                if word in received[connection] or not read:
                    ready.unregister(connection)


def test_three_hundred_watchers_delay_no_work(
    home: Path, git_server: GitServer, plain: str, held: str, gate: Gate
) -> None:
    with ExitStack() as stack:
        bindery = stack.enter_context(may_watch(home, git_server, MANY))
        target = f"/build/git/{held}?build_only=1"
        watching = [stack.enter_context(opened) for opened in watch_all(bindery, target, MANY)]
        received = dict.fromkeys(watching, b"")
        heard_by_all(watching, b'"waiting"', received)
        assert bindery.get(f"/build/git/{plain}", **STREAM).status_code == 503
        assert bindery.connections() >= MANY
        for _ in range(2):  # with every place taken, others' launches go their whole way: queues, a build, a session
            is_ready(bindery, *created(bindery, plain))
        assert not any(b'"built"' in text for text in received.values())
        gate.open()
        heard_by_all(watching, b'"ready"', received)
        assert all(text.count(b'"ready"') == 1 for text in received.values())
        assert len(bindery.session_folders()) == 2
        assert "Throttled" not in bindery.log, "somebody had to wait too long for the table"
