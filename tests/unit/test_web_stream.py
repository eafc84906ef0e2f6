"""The event stream of a launch that a test moves on."""

import asyncio
import json

import httpx
import pytest

from bindery.domain.errors import LaunchNotFound, RateLimited, Throttled
from bindery.domain.failure import Failure
from bindery.domain.launch import BUILT, FAILED, LAUNCHING, READY, WAITING, Launch, Stage
from bindery.web.cors import Cors
from bindery.web.stream import app as module
from bindery.web.stream.app import Stream
from tests.fakes.launch_stream import TOKENS, Story, launch


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATEST", 0.01)
    monkeypatch.setattr(module, "LAST_LINES_SECONDS", 0)


def get(story: Story, path: str, headers: dict[str, str], page_seconds: float = 0) -> httpx.Response:
    """Return the whole response, once the stream has ended."""

    async def response() -> httpx.Response:
        stream = Stream(story.open, story, TOKENS, "", Cors("*"), longest_seconds=0.3, page_seconds=page_seconds)
        transport = httpx.ASGITransport(stream.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(response())


def ask(
    story: Story, path: str = "/build/gh/o/r/HEAD", **headers: str
) -> tuple[list[dict[str, object]], str, dict[str, str]]:
    answer = get(story, path, {"Accept": "text/event-stream", **headers})
    assert answer.status_code == 200
    return (
        [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")],
        answer.text,
        dict(answer.headers),
    )


def test_a_launch_is_streamed_to_its_end_with_session_address_and_token() -> None:
    looks = [
        launch(WAITING),
        launch(WAITING, BUILT, LAUNCHING),
        launch(WAITING, BUILT, LAUNCHING, READY, stage=Stage.READY),
    ]
    events, _, headers = ask(Story(list(looks)))
    assert [event["phase"] for event in events] == ["waiting", "built", "launching", "ready"]
    assert events[-1]["url"] == "http://127.0.0.1:9/"
    assert events[-1]["token"] == "t" * 40
    assert headers["x-ratelimit-remaining"] == "9"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cache-control"] == "no-store"


def test_lines_have_the_format_of_binderhub_and_each_event_a_signed_id() -> None:
    _, text, _ = ask(Story([launch(READY, stage=Stage.READY)]))
    assert "\r" not in text
    assert "retry:" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("id: ")]
    assert TOKENS.read_event_id(line[4:]) == ("l", "1.0.")


def test_a_resumed_stream_sends_only_new_events() -> None:
    story = Story([launch(WAITING, BUILT, READY, stage=Stage.READY)], resumed_at="2.0.")
    events, _, _ = ask(story)
    assert [event["phase"] for event in events] == ["ready"]


def test_a_stream_resumed_after_the_end_repeats_the_end() -> None:
    story = Story([launch(WAITING, READY, stage=Stage.READY)], resumed_at="2.0.")
    events, _, _ = ask(story)
    assert [event["phase"] for event in events] == ["ready"]


def test_an_ended_session_is_sent_as_failed() -> None:
    over = Failure(kind="SessionEnded", facts={"reason": "nothing happened in it for 10 minutes"})
    events, _, _ = ask(Story([launch(READY, stage=Stage.READY)], found=over))
    assert events[-1]["phase"] == "failed"
    assert "nothing happened in it for 10 minutes" in str(events[-1]["message"])


def test_a_failure_is_sent_with_its_message() -> None:
    failure = Failure(kind="RefNotFound", facts={"spec": "o/r", "ref": "nope"})
    events, _, _ = ask(Story([launch(FAILED, stage=Stage.FAILED, failure=failure)]))
    assert events[-1]["phase"] == "failed"
    assert "nope" in str(events[-1]["message"])


def test_the_last_build_lines_are_awaited_before_a_failure_is_sent() -> None:
    failed = launch(WAITING, FAILED, stage=Stage.FAILED, attempt=1, failure=Failure(kind="BuildFailed"))
    story = Story([failed])
    ask(story)
    assert len(story.cursors) == 2


def test_a_build_only_launch_ends_with_its_image() -> None:
    events, _, _ = ask(Story([launch(BUILT, READY, stage=Stage.READY, build_only=True, image="uv/x-1")]))
    assert events[-1]["phase"] == "ready"
    assert events[-1]["imageName"] == "uv/x-1"
    assert "token" not in events[-1]


def test_a_busy_table_only_delays_the_stream() -> None:
    events, _, _ = ask(Story([Throttled(), launch(READY, stage=Stage.READY)]))
    assert [event["phase"] for event in events] == ["ready"]


def test_a_deleted_launch_ends_the_stream_with_a_message() -> None:
    events, _, _ = ask(Story([LaunchNotFound()]))
    assert events[-1]["phase"] == "failed"


def test_a_refusal_is_an_event_with_its_status() -> None:
    events, _, _ = ask(Story([], refuse=RateLimited(limit=10, seconds=60)))
    assert events == [{"phase": "failed", "status_code": 429, "message": events[0]["message"]}]


def test_a_long_stream_ends_with_the_address_to_continue() -> None:
    story = Story([launch(WAITING, stage=Stage.BUILDING)])
    events, _, _ = ask(story)
    assert events[-1]["phase"] == "waiting"
    assert "http://testserver/v2/gh/o/r/HEAD" in str(events[-1]["message"])


EVENTS = {"Accept": "text/event-stream"}
OUR_PAGE = "/build/gh/o/r/HEAD?build_token=a.b.c&resumes=1"


def test_the_stream_of_our_page_ends_early_with_an_event_to_resume() -> None:
    story = Story([launch(WAITING)])
    text = get(story, OUR_PAGE, EVENTS, page_seconds=0.05).text
    last = text.strip().rpartition("\n\n")[2].split("\n")
    [event_id] = [line.removeprefix("id: ") for line in last if line.startswith("id: ")]
    assert sorted(line for line in last if not line.startswith("id: ")) == ["data: {}", "event: again", "retry: 500"]
    assert TOKENS.read_event_id(event_id) == ("l", "1.0.")
    assert "The build goes on" not in text


def test_the_stream_of_our_page_tells_it_to_poll_during_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_AFTER_SECONDS", 0.05)
    text = get(Story([launch(WAITING, stage=Stage.BUILDING)]), OUR_PAGE, EVENTS, page_seconds=60).text
    assert text.count("event: ask\n") == 1
    assert "event: again" not in text


def test_the_stream_of_our_page_continues_while_no_build_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_AFTER_SECONDS", 0)
    looks: list[Launch | Exception] = [launch(WAITING, LAUNCHING, stage=Stage.STARTING)] * 5
    ends = launch(WAITING, LAUNCHING, READY, stage=Stage.READY)
    text = get(Story([*looks, ends]), OUR_PAGE, EVENTS, page_seconds=60).text
    assert '"phase": "ready"' in text
    assert "event: " not in text


@pytest.mark.parametrize(
    ("path", "page_seconds"),
    [
        ("/build/gh/o/r/HEAD", 0.05),
        ("/build/gh/o/r/HEAD?resumes=1", 0.05),
        ("/build/gh/o/r/HEAD?build_token=a.b.c", 0.05),
        (OUR_PAGE, 0),
    ],
)
def test_the_stream_of_another_client_stays_open_and_has_no_named_event(
    monkeypatch: pytest.MonkeyPatch, path: str, page_seconds: float
) -> None:
    """BinderHub's clients take a closed stream for a failed launch, and they know unnamed events only."""
    monkeypatch.setattr(module, "ASK_AFTER_SECONDS", 0)
    story = Story([launch(WAITING, stage=Stage.BUILDING)])
    text = get(story, path, EVENTS, page_seconds=page_seconds).text
    assert "event: " not in text
    assert "The build goes on" in text  # longest_seconds is over


def test_keepalives_are_sent_during_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEPALIVE_SECONDS", 0.05)
    _, text, _ = ask(Story([launch(stage=Stage.BUILDING)]))
    assert ":keepalive\n\n" in text


@pytest.mark.parametrize("accept", ["*/*", "text/html", "image/avif,image/webp,*/*;q=0.8"])
def test_a_request_that_does_not_accept_events_starts_nothing(accept: str) -> None:
    story = Story([launch(READY, stage=Stage.READY)])
    answer = get(story, "/build/gh/o/r/HEAD", {"Accept": accept})
    assert answer.status_code == 406
    assert "text/event-stream" in answer.text
    assert story.requests == []


def test_the_spec_is_passed_as_written_in_the_link() -> None:
    story = Story([launch(READY, stage=Stage.READY)])
    ask(
        story,
        "/build/git/https%3A%2F%2Fexample.org%2Fr%00/HEAD?build_token=a.b.c&build_only=true",
        Origin="https://o.example",
    )
    (request,) = story.requests
    assert request.spec == "https%3A%2F%2Fexample.org%2Fr%00/HEAD"
    assert (request.build_token, request.build_only, request.origin) == ("a.b.c", True, "https://o.example")
    assert request.own_origin == "http://testserver"


def test_a_link_without_a_spec_is_refused_with_a_message() -> None:
    for path in ("/build/gh", "/build/gh/", "/build//x"):
        events, _, _ = ask(Story([]), path)
        assert events[0]["status_code"] == 400


def test_behind_the_web_adapter_the_client_is_that_of_the_gateway() -> None:
    story = Story([launch(READY, stage=Stage.READY)])
    context = {"x-amzn-request-context": json.dumps({"identity": {"sourceIp": "192.0.2.7"}})}
    ask(story, **context)
    assert story.requests[0].client == "192.0.2.7"


def test_a_place_in_line_is_sent_under_the_id_of_the_previous_event() -> None:
    waiting = launch(WAITING, stage=Stage.BUILDING)
    looks = [waiting, waiting, launch(WAITING, BUILT, LAUNCHING, READY, stage=Stage.READY)]
    events, text, _ = ask(Story(list(looks), before=[3, None]))
    assert [event["message"] for event in events][:3] == [
        WAITING.message,
        "Waiting for a build slot: 3 builds are before this one.\n",
        BUILT.message,
    ]
    ids = [line for line in text.splitlines() if line.startswith("id: ")]
    assert ids[0] == ids[1] != ids[2]
    assert events[1]["phase"] == "waiting"


def test_an_error_of_the_line_does_not_end_the_stream() -> None:
    looks = [launch(WAITING, stage=Stage.BUILDING), launch(WAITING, BUILT, LAUNCHING, READY, stage=Stage.READY)]
    events, _, _ = ask(Story(list(looks), before=[Throttled()]))
    assert events[-1]["phase"] == "ready"
