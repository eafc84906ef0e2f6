"""A stream's place among the open streams of a client. It is taken before the stream and given back at every kind of end."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from bindery.domain.errors import Stale, TooManyStreams
from bindery.domain.launch import READY, WAITING, Stage
from bindery.domain.launch_request import LaunchRequest, OpenedLaunch
from bindery.web.cors import Cors
from bindery.web.stream.app import Stream
from tests.fakes.launch_stream import TOKENS, Story, launch

ENDED, GOING = launch(READY, stage=Stage.READY), launch(WAITING)
EVENTS = {"Accept": "text/event-stream"}


class Counted(Story):
    """A story that counts its streams. closed: the client and the stream's id of each stream that gave its place back."""

    def __init__(self, *looks: object, trouble: bool = False) -> None:
        super().__init__(list(looks))  # type: ignore[arg-type]  # launches and errors
        self.closed: list[tuple[str, str]] = []
        self.trouble = trouble

    def open(self, request: LaunchRequest) -> OpenedLaunch:
        return replace(super().open(request), stream="s1" if request.streams else "")

    def close(self, client: str, stream: str) -> None:
        self.closed.append((client, stream))
        if self.trouble:
            raise Stale


def app_of(story: Counted) -> httpx.ASGITransport:
    return httpx.ASGITransport(
        Stream(story.open, story, TOKENS, "", Cors("*"), longest_seconds=0.3, close=story.close).app()
    )


def get(story: Counted) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=app_of(story), base_url="http://testserver") as client:
            return await client.get("/build/gh/o/r/HEAD", headers=EVENTS)

    return asyncio.run(ask())


@pytest.mark.parametrize("look", [ENDED, GOING], ids=["its launch ended", "it was open for long"])
def test_the_place_is_freed_when_the_stream_ends(look: object) -> None:
    story = Counted(look)
    assert get(story).status_code == 200
    assert story.closed == [("127.0.0.1", "s1")]


def test_the_place_is_freed_when_the_client_disconnects() -> None:
    story = Counted(GOING)
    gone = asyncio.Event()

    async def receive() -> dict[str, object]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        if isinstance(message, dict) and message.get("body"):
            gone.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/build/gh/o/r/HEAD",
        "raw_path": b"/build/gh/o/r/HEAD",
        "query_string": b"",
        "headers": [(b"accept", b"text/event-stream"), (b"host", b"testserver")],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    app = Stream(story.open, story, TOKENS, "", Cors("*"), longest_seconds=600, close=story.close).app()
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 60))
    assert story.closed == [("127.0.0.1", "s1")]


def test_an_error_of_the_table_does_not_affect_the_end_of_a_stream() -> None:
    story = Counted(ENDED, trouble=True)
    assert '"phase": "ready"' in get(story).text
    assert story.closed == [("127.0.0.1", "s1")]


def test_a_client_with_too_many_streams_gets_a_retry_time() -> None:
    story = Counted(GOING)
    story.refuse = TooManyStreams(limit=10)
    answer = get(story)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["code"] == "too_many_streams"
    assert "10 launches" in answer.json()["message"]
    assert story.closed == []
