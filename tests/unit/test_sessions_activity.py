"""Requests for the activity of servers that misbehave: other programs, hostile servers and slow servers."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from itertools import chain, repeat
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from bindery.adapters.jupyter import activity
from bindery.domain.sessions import Activity
from tests.serving.loopback import Loopback, Quiet

TOKEN = "the session's token, 32 characters"
NOW = 1_700_000_000.0
Answer = tuple[int, bytes]


class Requests:
    """The requests that a server received: path and Authorization header, in order, and the addresses they came from."""

    def __init__(self) -> None:
        self.connections: set[object] = set()
        self.requests: list[tuple[str, str | None]] = []


@contextmanager
def serving(
    answer: Callable[[str, str | None], Answer], headers: dict[str, str] | None = None
) -> Iterator[tuple[str, Requests]]:
    record = Requests()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            record.connections.add(self.client_address)
            authorization = self.headers.get("Authorization")
            record.requests.append((self.path, authorization))
            if "Cookie" in self.headers:
                record.requests.append(("cookie", self.headers["Cookie"]))
            code, body = answer(self.path, authorization)
            self.send(code, body, headers)

    with Loopback(Handler) as server:
        yield f"{server.origin}/", record


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def jupyter(
    last: float = NOW - 100, kernels: object = (), terminals: object = (), terminals_code: int = 200
) -> Callable[[str, str | None], Answer]:
    """Return the answers of a Jupyter server, which refuses requests without the token."""
    bodies: dict[str, tuple[int, object]] = {
        "/api/status": (200, {"started": moment(NOW - 1000), "last_activity": moment(last), "connections": 7}),
        "/api/kernels": (200, kernels),
        "/api/terminals": (terminals_code, terminals),
    }

    def answer(path: str, authorization: str | None) -> Answer:
        if authorization != f"token {TOKEN}":
            return 403, b"{}"
        code, body = bodies[path.partition("?")[0]]
        return code, json.dumps(body).encode()

    return answer


def activity_of(url: str) -> Activity | None:
    return activity.poll({"one": (url, TOKEN)}, 10, NOW)["one"]


def is_session(url: str) -> bool:
    return activity.is_session(url, TOKEN)


def test_the_server_of_a_session_is_recognised_by_its_token() -> None:
    with serving(jupyter()) as (url, _):
        assert is_session(url)


def test_a_program_that_answers_without_a_token_is_not_the_session() -> None:
    ok = json.dumps({"started": moment(NOW), "last_activity": moment(NOW)}).encode()
    with serving(lambda _path, _given: (200, ok)) as (url, record):
        assert not is_session(url)
    assert record.requests == [("/api/status", None)]


@pytest.mark.parametrize("code", [403, 404, 500])
def test_a_server_that_refuses_the_token_is_not_the_session(code: int) -> None:
    with serving(lambda _path, given: (code if given else 403, b"{}")) as (url, _):
        assert not is_session(url)


def test_another_program_behind_a_password_is_not_the_session() -> None:
    with serving(lambda _path, given: (200 if given else 401, b"<html>welcome</html>")) as (url, _):
        assert not is_session(url)


def test_a_redirect_is_not_followed() -> None:
    with serving(jupyter()) as (elsewhere, record), serving(lambda *_: (302, b""), {"Location": elsewhere}) as (url, _):
        assert activity_of(url) is None
        assert not is_session(url)
    assert record.requests == []


def test_cookies_are_not_sent_with_later_requests() -> None:
    with serving(jupyter(), {"Set-Cookie": "login=secret; Path=/"}) as (url, record):
        assert is_session(url)
        assert is_session(url)
    assert [request for request in record.requests if request[0] == "cookie"] == []


def test_an_open_connection_does_not_count_as_activity() -> None:
    with serving(jupyter(kernels=[{"execution_state": "idle", "connections": 3}])) as (url, _):
        assert activity_of(url) == Activity(last=NOW - 100, busy=False)


def test_a_busy_kernel_makes_its_session_busy() -> None:
    kernels = [{"execution_state": "idle"}, {"execution_state": "busy", "last_activity": moment(NOW - 50)}]
    with serving(jupyter(kernels=kernels)) as (url, _):
        assert activity_of(url) == Activity(last=NOW - 50, busy=True)


def test_terminal_output_counts_as_activity_without_a_viewer() -> None:
    with serving(jupyter(terminals=[{"name": "1", "last_activity": moment(NOW - 20)}])) as (url, _):
        assert activity_of(url) == Activity(last=NOW - 20, busy=False)


def test_a_server_without_terminals_has_an_activity() -> None:
    with serving(jupyter(terminals_code=404)) as (url, _):
        assert activity_of(url) == Activity(last=NOW - 100, busy=False)


def test_a_clock_ahead_of_time_does_not_prolong_a_session() -> None:
    with serving(jupyter(last=NOW + 1_000_000)) as (url, _):
        assert activity_of(url) == Activity(last=NOW, busy=False)


def test_activity_requests_do_not_count_as_activity() -> None:
    with serving(jupyter()) as (url, record):
        activity_of(url)
    assert {path for path, _ in record.requests} == {
        "/api/status",
        "/api/kernels?no_track_activity=1",
        "/api/terminals?no_track_activity=1",
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"last_activity": "yesterday"}', b"\xff\xfe", b"[" * 200_000])
def test_an_invalid_answer_is_no_activity(body: bytes) -> None:
    with serving(lambda *_: (200, body)) as (url, _):
        assert activity_of(url) is None


def test_an_endless_answer_is_no_activity() -> None:
    with serving(lambda *_: (200, b" " * 50_000_000)) as (url, _):
        assert activity_of(url) is None


def test_a_slow_answer_is_no_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "ANSWER_SECONDS", 0.0)
    with serving(jupyter()) as (url, _):
        assert activity_of(url) is None


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1/", "http://[", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"])
def test_an_invalid_address_has_no_activity(url: str) -> None:
    assert activity_of(url) is None


@contextmanager
def raw(*pieces: bytes, again: bytes, every: float = 0.05) -> Iterator[str]:
    """Run a server that sends these pieces and then repeats the piece `again` for ever."""
    stopped = threading.Event()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            for piece in chain(pieces, repeat(again)):
                try:
                    self.wfile.write(piece)
                except OSError:
                    return
                if stopped.wait(every):
                    return

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        stopped.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", id="a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b" ", id="a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", id="chunks"),
    ],
)
def test_an_answer_that_never_finishes_times_out(monkeypatch: pytest.MonkeyPatch, begin: bytes, again: bytes) -> None:
    monkeypatch.setattr(activity, "ANSWER_SECONDS", 0.5)
    start = time.monotonic()
    with raw(begin, again=again) as url:
        assert activity_of(url) is None
    assert time.monotonic() - start < 3


def test_three_requests_use_one_connection() -> None:
    with serving(jupyter()) as (url, record):
        assert activity_of(url)
    assert len(record.connections) == 1


def test_many_servers_are_polled_concurrently_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "AT_ONCE", 4)
    monkeypatch.setattr(activity, "ANSWER_SECONDS", 0.8)
    with raw(b"", again=b"", every=1) as url:
        start = time.monotonic()
        answers = activity.poll({str(n): (url, TOKEN) for n in range(8)}, 20, NOW)
        duration = time.monotonic() - start
    assert answers == {str(n): None for n in range(8)}
    assert 1.5 < duration < 6  # the time of two rounds of requests, not of eight


def test_servers_that_are_not_polled_in_time_are_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "AT_ONCE", 1)
    monkeypatch.setattr(activity, "ANSWER_SECONDS", 0.3)
    with raw(b"", again=b"", every=1) as url:
        assert activity.poll({"one": (url, TOKEN), "two": (url, TOKEN)}, 0.1, NOW) == {"one": None}


def test_an_untrusted_certificate_is_no_activity() -> None:
    with serving(jupyter()) as (url, _):
        assert activity_of(url.replace("http:", "https:")) is None


def test_both_requests_to_a_new_session_share_one_time_limit() -> None:
    def late(_path: str, authorization: str | None) -> Answer:
        time.sleep(0.4)
        return (
            (200, json.dumps({"started": moment(NOW), "last_activity": moment(NOW)}).encode())
            if authorization
            else (403, b"")
        )

    with serving(late) as (url, _):
        assert not activity.is_session(url, TOKEN, 0.6)
        assert activity.is_session(url, TOKEN, 30)


def test_an_invalid_time_of_one_server_does_not_affect_the_others() -> None:
    odd = {"started": moment(NOW), "last_activity": "0001-01-01T00:00:00+14:00"}
    bodies = {"/api/status": odd, "/api/kernels": [], "/api/terminals": []}
    with (
        serving(lambda path, _: (200, json.dumps(bodies[path.partition("?")[0]]).encode())) as (hostile, _),
        serving(jupyter()) as (url, _),
    ):
        answers = activity.poll({"hostile": (hostile, TOKEN), "one": (url, TOKEN)}, 10, NOW)
    assert answers["one"] == Activity(last=NOW - 100, busy=False)
