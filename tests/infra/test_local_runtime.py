"""Tests of the local runtime. It runs the template's functions, and its front answers every kind of request."""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bindery.web.body_limit import LARGEST_BODY
from bindery_local.setup import LogFile
from tests.serving.git_http import GitServer
from tests.serving.kernel import Session
from tests.serving.runtime import ROOT, LocalRuntime, until

TEMPLATE = ROOT / "template.yaml"
BADGE = "        Badge: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /badge.svg, Method: GET}}\n"
BADGE_HEAD = BADGE.replace("Badge:", "BadgeHead:").replace("GET", "HEAD")
HELLO = "        Hello: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /hello.svg, Method: GET}}\n"
RESOURCES = "\nResources:\n"
COUNTING = """
  Counting:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: tests/infra/counting/
      Events:
        Ticks: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /ticks, Method: GET}}
        Crash: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /crash, Method: GET}}
        Timer: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 second)}}
"""
ONCE = "RetryPolicy: {MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60}"
CULL_TIMER = f"""      Events:
        Timer: {{Type: ScheduleV2, Properties: {{ScheduleExpression: rate(1 minute), OmitName: true, {ONCE}}}}}

  Reconcile:"""
NO_CULL_TIMER = "\n  Reconcile:"
NO_ROUTE = "There is nothing at this address."


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory, git_server: GitServer) -> Iterator[LocalRuntime]:
    """Provide a runtime on a copy of the template. The copy lacks a route and the culling timer; a route and a
    function are added.
    """
    text = TEMPLATE.read_text()
    for old, new in ((BADGE, HELLO), (BADGE_HEAD, ""), (RESOURCES, RESOURCES + COUNTING), (CULL_TIMER, NO_CULL_TIMER)):
        assert text.count(old) == 1
        text = text.replace(old, new)
    folder = tmp_path_factory.mktemp("edited")
    copy = folder / "template.yaml"
    copy.write_text(text)
    settings = {"idle_seconds": 0.1, "cull_seconds": 0.1, "reconcile_seconds": 0.5}
    with LocalRuntime(
        folder / "home", template=copy, settings=settings, allowed_private_hosts=git_server.address
    ) as runtime:
        yield runtime


def test_routes_follow_changes_of_the_template(edited: LocalRuntime) -> None:
    gone = edited.get("/badge.svg")
    assert (gone.status_code, gone.json()["message"].startswith(NO_ROUTE)) == (404, True)
    assert edited.get("/badge_logo.svg").status_code == 200
    added = edited.get("/hello.svg")  # the function got the request, and has no such file
    assert (added.status_code, NO_ROUTE in added.text) == (404, False)
    assert edited.get("/ticks").status_code == 200


def test_an_added_timer_calls_its_function_at_the_rate_of_the_template(edited: LocalRuntime) -> None:
    first = int(edited.get("/ticks").text)
    until(lambda: int(edited.get("/ticks").text) > first + 1)


def test_without_the_timer_no_session_is_culled(edited: LocalRuntime, plain: str) -> None:
    session = Session.of(edited.launch(plain).last.data)
    ticks = int(edited.get("/ticks").text)
    until(lambda: int(edited.get("/ticks").text) > ticks + 2)  # many times the limit
    assert session.answers()


def test_a_crash_of_a_function_is_answered_and_the_service_continues(edited: LocalRuntime) -> None:
    for _ in range(3):
        crashed = edited.get("/crash")
        assert (crashed.status_code, crashed.json()) == (502, {"message": "Internal server error"})
    assert edited.get("/health").json()["ok"]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v2", "/v2/", "/api/", "/build/", "//nowhere", "/badge.svg/x", "/health/", "/../health"]
)
def test_an_unknown_address_is_not_found(edited: LocalRuntime, path: str) -> None:
    answer = edited.raw(path.encode())
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("application/json")
    assert json.loads(answer.body)["message"].startswith(NO_ROUTE)


def test_repeated_slashes_lead_to_the_start_page(edited: LocalRuntime) -> None:
    answer = edited.raw(b"//")
    assert (answer.status, answer.body) == (200, edited.raw(b"/").body)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/v2/git/{spec}", "/health", "/build/git/{spec}", "/api/launches"])
def test_any_method_is_answered_and_starts_no_launch(edited: LocalRuntime, plain: str, method: str, path: str) -> None:
    before = edited.launches()
    answer = edited.client.request(method, path.format(spec=plain), headers={"Accept": "text/event-stream"})
    assert answer.status_code in {200, 204, 400, 404, 405}
    assert edited.launches() == before


def test_a_body_of_more_than_the_limit_is_refused(edited: LocalRuntime) -> None:
    fits = b'{"provider": "x", "spec": "' + b"y" * (LARGEST_BODY - 40) + b'"}'
    json_body = b"Content-Type: application/json"
    assert edited.raw(b"/api/launches", json_body, method=b"POST", body=fits).status == 404  # no such provider
    over = edited.raw(b"/api/launches", json_body, method=b"POST", body=fits + b" " * 100)
    assert (over.status, json.loads(over.body)["code"]) == (413, "request_too_large")


def begins(runtime: LocalRuntime, request: bytes) -> bytes:
    """Return the beginning of the response to a request that is not sent to its end, or not read to its end."""
    with socket.create_connection(("127.0.0.1", int(runtime.address.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def test_a_chunked_body_is_refused_as_soon_as_it_exceeds_the_limit(edited: LocalRuntime) -> None:
    head = b"POST /api/launches HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"%x\r\n" % (2 * LARGEST_BODY) + b" " * 2 * LARGEST_BODY + b"\r\n"
    assert begins(edited, head + body).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", [b"-1", b"many", b"1e3", b"99999999999999999999", b"5\r\nContent-Length: 6"])
def test_an_invalid_content_length_is_refused(edited: LocalRuntime, length: bytes) -> None:
    answer = edited.raw(b"/api/launches", b"Content-Length: " + length, method=b"POST")
    assert answer.status in {400, 413}


@pytest.mark.parametrize("flood", [b"X-Long: " + b"x" * 200_000, b"\r\n".join([b"X-Many: x"] * 20_000)])
def test_too_many_or_too_long_headers_are_refused(edited: LocalRuntime, flood: bytes) -> None:
    """On AWS, API Gateway refuses it. It accepts 10,240 bytes of headers."""
    assert begins(edited, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + flood + b"\r\n\r\n").startswith(
        (b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")
    )
    assert edited.get("/health").status_code == 200


def test_text_that_is_not_utf_8_is_answered(edited: LocalRuntime) -> None:
    assert edited.raw(b"/v2/git/%ff%00/\xff\xfe", b"X-Odd: \xff\xfe").status in {400, 404}
    assert edited.raw(b"/api/launches", method=b"POST", body=b"\xff\xfe\x00").status == 400
    assert edited.raw(b"/v2/gh/o/r/HEAD?urlpath=%ff&%ff=%00").status in {200, 400}


@pytest.mark.parametrize("own", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "localhost.:8585"])
def test_loopback_names_are_answered(edited: LocalRuntime, own: str) -> None:
    assert edited.raw(b"/health", f"Host: {own}".encode()).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8585", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"),
        *(
            "localhost@evil.example",
            "evil.example#localhost",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[",
            "",
            "127.1",
        ),
    ],
)
@pytest.mark.parametrize("path", [b"/health", b"/nowhere", b"/build/gh/o/r/HEAD"])
def test_any_other_host_name_is_refused(edited: LocalRuntime, host: str, path: bytes) -> None:
    answer = edited.raw(path, b"Accept: text/event-stream", b"Host: " + host.encode())
    assert answer.status == 421
    assert "answers only to localhost" in answer.body


def test_a_client_that_disconnects_during_its_request_is_harmless(edited: LocalRuntime) -> None:
    port = int(edited.address.rpartition(":")[2])
    for part in (b"POST /api/launches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{", b"GET /he", b"\x00"):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(part)
    assert edited.get("/health").status_code == 200


def test_errors_are_written_to_the_log_and_not_to_the_terminal(edited: LocalRuntime) -> None:
    """This test runs last. The terminal shows only the planted crash, which Bindery's own wrapper would have logged."""
    assert "Traceback" not in edited.errors.read_text()


def test_a_public_address_without_a_listening_interface_gives_a_warning_at_the_start(tmp_path: Path) -> None:
    with LocalRuntime(tmp_path / "home", settings={"public_url": "https://bindery.example.org"}) as runtime:
        assert runtime.line().startswith("BINDERY_PUBLIC_URL is set, but ")


def test_a_log_on_a_full_disk_drops_lines_silently(capsys: pytest.CaptureFixture[str]) -> None:
    log = LogFile("/dev/full")
    log.handle(logging.LogRecord("bindery", logging.ERROR, "", 0, "lost", None, None))
    with suppress(OSError):
        log.close()
    assert capsys.readouterr() == ("", "")
