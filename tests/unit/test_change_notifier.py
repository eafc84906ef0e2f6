"""Notifications of streams about writes in their own process, and one more look per write instead of repeated polling."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bindery.bootstrap import System
from bindery.domain.errors import Stale
from bindery.domain.launch import READY, WAITING, Launch, Stage
from bindery.domain.launch_request import StreamCursor, StreamEvent
from bindery.ports.table import Delete, Item
from bindery.settings import Settings
from bindery.state.launches import key_of
from bindery.web.cors import Cors
from bindery.web.stream import change_notifier as module
from bindery.web.stream.app import Stream
from bindery.web.stream.change_notifier import ChangeNotifier, PollInterval
from bindery_local.adapters import LocalAdapters
from bindery_local.sqlite_table import SqliteTable
from tests.fakes.launch_stream import TOKENS, Story, launch


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set pauses that are long enough for a test to notice."""
    monkeypatch.setattr(module, "SELDOM", 60.0)
    monkeypatch.setattr(module, "LATEST", 60.0)


def from_another_thread(notifier: ChangeNotifier) -> None:
    threading.Timer(0.05, notifier.written, ["launch#a"]).start()


def during_the_look(notifier: ChangeNotifier) -> None:
    notifier.written("launch#a")


@pytest.mark.parametrize("written", [from_another_thread, during_the_look])
def test_a_write_ends_the_pause_of_its_stream(written: Callable[[ChangeNotifier], None]) -> None:
    async def waits() -> None:
        notifier = ChangeNotifier()
        with notifier.of("launch#a") as event:
            looks = PollInterval(event)
            looks.begin()
            written(notifier)
            await asyncio.wait_for(looks.pause(notified=True), 20)

    asyncio.run(waits())


def test_writes_of_other_launches_and_earlier_writes_end_no_pause() -> None:
    async def waits() -> None:
        notifier = ChangeNotifier()
        with notifier.of("launch#a") as event, notifier.of("launch#b"):
            looks = PollInterval(event)
            notifier.written("launch#a")
            await asyncio.sleep(0.01)
            looks.begin()
            notifier.written("launch#b")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(looks.pause(notified=True), 0.1)

    asyncio.run(waits())


@pytest.mark.parametrize(("has_event", "notified"), [(False, True), (True, False)])
def test_without_a_notification_a_pause_is_short(has_event: bool, notified: bool) -> None:
    async def waits() -> None:
        looks = PollInterval(asyncio.Event() if has_event else None)
        await asyncio.wait_for(looks.pause(notified=notified), 20)

    asyncio.run(waits())


def test_a_notification_for_an_ended_stream_is_harmless() -> None:
    notifier = ChangeNotifier()

    async def leaves_it() -> None:
        notifier.of("launch#a").__enter__()  # as if the event loop ended inside the block

    asyncio.run(leaves_it())
    notifier.written("launch#a")


def test_the_table_reports_each_successful_write_only(tmp_path: Path) -> None:
    keys: list[str] = []
    table = SqliteTable(tmp_path / "table.sqlite", written=keys.append)
    put = table.put(Item("a", "x", {}))
    table.transact([Item("b", "x", {}), Delete(put)])
    assert keys == ["a", "b", "a"]
    with pytest.raises(Stale):
        table.put(Item("b", "x", {}))
    with pytest.raises(Stale):
        table.transact([Item("c", "x", {}), Item("b", "x", {})])
    assert keys == ["a", "b", "a"]
    table.close()


@dataclass
class Written(Story):
    """A launch that another thread changes while a stream looks at it. Handlers always run in other threads."""

    notifier: ChangeNotifier = field(default_factory=ChangeNotifier)

    def __call__(self, launch: str, cursor: StreamCursor) -> tuple[Launch, list[StreamEvent]]:
        state = super().__call__(launch, cursor)
        self.notifier.written(key_of(launch))
        return state


async def stream(story: Written, *, leaves: bool = False) -> bytes:
    """Return the body of a stream. With `leaves`, its reader leaves when the first event has arrived."""
    body, gone = bytearray(), asyncio.Event()
    headers = [(b"accept", b"text/event-stream"), (b"host", b"testserver")]
    path = "/build/gh/o/r/HEAD"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": headers}

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # the signature that ASGI defines
        body.extend(message.get("body", b""))
        if leaves and body:
            gone.set()

    app = Stream(story.open, story, TOKENS, "", Cors("*"), notifier=story.notifier).app()
    await asyncio.wait_for(app({**scope, "query_string": b"", "scheme": "http"}, receive, send), 20)
    return bytes(body)


def test_a_stream_sends_an_event_as_soon_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOONEST", 60.0)
    story = Written([launch(WAITING), launch(WAITING), launch(WAITING, READY, stage=Stage.READY)])
    assert b'"phase": "ready"' in asyncio.run(stream(story))
    assert not story.notifier._waiting


def test_a_stream_whose_reader_disconnects_leaves_no_subscription() -> None:
    story = Written([launch(WAITING)])
    assert b'"phase": "waiting"' in asyncio.run(stream(story, leaves=True))
    assert not story.notifier._waiting


@pytest.fixture
def picked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[System]:
    """Return the system as `make up` builds it."""
    monkeypatch.setenv("BINDERY_HOME", str(tmp_path))
    monkeypatch.setenv("BINDERY_SECRET", "s" * 40)
    adapters = LocalAdapters(Settings.read())
    yield System(adapters, adapters.settings)
    assert adapters.sqlite
    adapters.sqlite.close()


def test_streams_on_one_machine_are_notified_by_its_table(picked: System) -> None:
    async def waits() -> None:
        notifier = picked.stream.notifier
        assert notifier
        with notifier.of("launch#a") as event:
            picked.ports.table.put(Item("launch#a", "launch", {}))
            await asyncio.wait_for(event.wait(), 20)

    asyncio.run(waits())
