"""Tests of bad input. The response is only a readable message. No request hangs or results in a 500, and the service
goes on.
"""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.serving.git_http import GitServer, make_repository
from tests.serving.loopback import Loopback, Quiet
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime

ACCEPT = b"Accept: text/event-stream"
AT = quote("http://127.0.0.1:PORT/plain.git", safe="")  # the loopback git server, which is allowed
INSIDE = "http://127.0.0.1:CLOSED"  # another port of this machine, which is not

ADDRESSES = {
    "file": "file:///etc/passwd",
    "ssh": "ssh://git@example.org/r",
    "scp": "git@example.org:r.git",
    "ext": "ext::sh -c touch% /tmp/pwned",
    "git protocol": "git://example.org/r",
    "ftp": "ftp://example.org/r",
    "option": "--upload-pack=touch /tmp/pwned",
    "option as host": "http://-oProxyCommand=x/r",
    "another port here": f"{INSIDE}/plain.git",
    "localhost": "http://localhost:CLOSED/plain.git",
    "loopback, short": "http://127.1:CLOSED/r",
    "loopback, decimal": "http://2130706433:CLOSED/r",
    "loopback, hexadecimal": "http://0x7f000001:CLOSED/r",
    "loopback, octal": "http://0177.0.0.1:CLOSED/r",
    "loopback, elsewhere": "http://127.9.9.9/r",
    "this host": "http://0.0.0.0:CLOSED/r",
    "zero": "http://0/r",
    "IPv6 loopback": "http://[::1]:CLOSED/r",
    "IPv4 in IPv6": "http://[::ffff:127.0.0.1]:CLOSED/r",
    "NAT64": "http://[64:ff9b::7f00:1]/r",
    "unique local": "http://[fd00::1]/r",
    "link-local with zone": "http://[fe80::1%25eth0]/r",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "metadata, IPv6": "http://[fd00:ec2::254]/latest",
    "private": "http://10.0.0.1/r",
    "carrier": "http://100.64.0.1/r",
    "circled digits": "http://①②⑦.⓪.⓪.①/r",
    "user": "http://user:word@127.0.0.1/r",
    "nobody": "http:///r",
    "odd port": "http://127.0.0.1:99999/r",
    "mail's port": "http://192.0.32.7:25/r",
    "backslash": "http://127.0.0.1\\@example.org/r",
    "line break": "http://127.0.0.1\r\nHost: example.org/r",
    "query": "http://127.0.0.1:PORT/plain.git?x=1",
    "nothing": "",
}
REFS = {
    "missing": "no-such-branch",
    "missing commit": "0" * 40,
    "option": "--upload-pack=touch%20%2Ftmp%2Fpwned",
    "dash": "-",
    "dots": "a..b",
    "up": "..%2F..%2Fetc%2Fpasswd",
    "parent": "HEAD~1",
    "reflog": "%40%7B-1%7D",
    "search": "%3A%2Ffix",
    "lock": "main.lock",
    "line break": "main%0Aother",
    "space": "main%20other",
    "NUL": "main%00",
    "no UTF-8": "%ff%fe",
    "half a character": "%e2%82",
    "right to left": "main%E2%80%AE",
    "surrogate": "%ed%a0%80",
    "long": "x" * 300,
    "percent": "%",
    "percent letters": "%zz",
    "empty": "",
    "slashes": "//",
}
LINKS = {
    "unknown provider": "nowhere/a/b/HEAD",
    "no provider": "",
    "no spec": "git",
    "no spec, slash": "git/",
    "provider with NUL": "g%00t/a/HEAD",
    "provider up": "../v2/git/x/HEAD",
    "10 kB spec": f"git/{'a' * 10_000}/HEAD",
    "10 kB provider": "a" * 10_000 + "/x/HEAD",
    "not an address": "git/hello/HEAD",
    "no ref": f"git/{AT}",
    "twice encoded": f"git/{quote(AT)}/HEAD",
    "gh without a ref": "gh/owner/repository",
    "gh up": "gh/../../HEAD",
    "gh encoded up": "gh/..%2F..%2Fuser/x/HEAD",
    "gh option": "gh/-owner/repository/HEAD",
    "gh query": "gh/owner/repository%3Fx/HEAD",
    "gh host": "gh/owner%40host/repository/HEAD",
    "gh no UTF-8": "gh/%ff/%ff/HEAD",
    "markup": "git/%3Cscript%3Ealert(1)%3C%2Fscript%3E/HEAD",
    "format": "git/%7B0.__class__%7D/%7Bspec%7D",
}
CASES = {
    **{f"address: {name}": f"git/{quote(address, safe=':')}/HEAD" for name, address in ADDRESSES.items()},
    **{f"ref: {name}": f"git/{AT}/{ref}" for name, ref in REFS.items()},
    **{f"link: {name}": link for name, link in LINKS.items()},
}


@pytest.fixture(scope="module")
def tempted() -> Iterator[tuple[int, list[str]]]:
    """Provide a server of this machine that no request may be led to, and the list of the requests to it."""
    paths: list[str] = []

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send(404)

    with Loopback(Handler) as server:
        yield server.port, paths


@pytest.fixture
def link(request: pytest.FixtureRequest, git_server: GitServer, tempted: tuple[int, list[str]], plain: str) -> str:
    """Provide the case's link with this run's ports."""
    port = git_server.address.rpartition(":")[2]
    return CASES[request.param].replace("PORT", port).replace("CLOSED", str(tempted[0]))


@pytest.fixture(autouse=True)
def goes_on(bindery: LocalRuntime, tempted: tuple[int, list[str]]) -> Iterator[None]:
    """Check after each case that the service is well, and that it ran, requested and logged no forbidden content."""
    start = len(bindery.log)
    yield
    health = bindery.get("/health")
    assert (health.status_code, health.json()["ok"]) == (200, True)
    assert tempted[1] == []
    assert not Path("/tmp/pwned").exists()
    assert "Traceback" not in bindery.log[start:]


@pytest.mark.parametrize("link", CASES, indirect=True)
def test_the_stream_of_an_invalid_link_gives_the_reason(bindery: LocalRuntime, link: str) -> None:
    answer = bindery.raw(b"/build/" + link.encode(), ACCEPT)
    if answer.status == 404:  # no route: the request named no resource at all
        assert link.strip("/") == ""
        return
    assert answer.status == 200
    events = [json.loads(line.removeprefix("data: ")) for line in answer.body.split("\n") if line.startswith("data: ")]
    assert [event["phase"] for event in events] == ["failed"]
    assert events[0].get("status_code", 400) < 500
    check_readable(events[0]["message"])


@pytest.mark.parametrize("link", CASES, indirect=True)
def test_the_page_of_an_invalid_link_gives_the_reason(bindery: LocalRuntime, link: str) -> None:
    answer = bindery.raw(b"/v2/" + link.encode())
    assert answer.status in (200, 400, 403, 404), answer.body
    if "html" in answer.headers["content-type"]:
        assert "<script>alert" not in answer.body
        assert "no-store" in answer.headers["cache-control"]
    else:
        check_readable(json.loads(answer.body)["message"] + ".")


@pytest.mark.parametrize("link", [name for name in CASES if not name.startswith("link: no ")], indirect=True)
def test_the_api_gives_the_reason_for_refusing_an_invalid_link(bindery: LocalRuntime, link: str) -> None:
    provider, _, spec = link.partition("/")
    created = bindery.client.post("/api/launches", json={"provider": provider, "spec": spec, "build_only": True})
    payload = created.json()
    if created.status_code != 201:
        assert 400 <= created.status_code < 500
        assert re.fullmatch(r"[a-z_]+", payload["code"])
        check_readable(payload["message"])
        return
    headers = {"Authorization": f"Bearer {payload['launcher_token']}"}
    for _ in range(600):
        look = bindery.client.get(payload["address"], headers=headers).json()
        if look["phase"] in ("ready", "failed"):
            break
    assert look["phase"] == "failed"
    check_readable(look["failure"]["message"])


@pytest.mark.parametrize(
    "target",
    [b"/build/git/\xff\xfe/HEAD", b"/v2/git/\xff/HEAD", b"/build/git/\xc3\x28/HEAD", b"/api/launches/\xff", b"/\xff"],
)
def test_paths_that_are_not_utf8_are_answered(bindery: LocalRuntime, target: bytes) -> None:
    answer = bindery.raw(target, ACCEPT)
    assert answer.status in (200, 400, 404)
    assert "Traceback" not in answer.body


@pytest.mark.parametrize("target", [b"/build/git/\0/HEAD", b"/v2/git/a b/HEAD", b"/" + b"a" * 100_000, b"*", b""])
def test_invalid_request_targets_are_refused(bindery: LocalRuntime, target: bytes) -> None:
    assert bindery.raw(target, ACCEPT).status in (400, 404, 414, 431)


@pytest.mark.parametrize(
    "headers",
    [
        (b"Last-Event-ID: \xff\xfe",),
        (b"Last-Event-ID: " + b":" * 5000,),
        (b"Origin: \xff",),
        (b"Host: \xff",),
        (b"Host: [",),
        (b"Content-Length: -1",),
        (b"Content-Length: twelve",),
        (b"Authorization: Bearer \xff\xff",),
        (b"X-Forwarded-Proto: javascript",),
    ],
)
@pytest.mark.parametrize("target", [b"/build/git/x/HEAD", b"/v2/git/x/HEAD", b"/api/launches/x"])
def test_invalid_headers_are_answered(bindery: LocalRuntime, target: bytes, headers: tuple[bytes, ...]) -> None:
    answer = bindery.raw(target, ACCEPT, *headers)
    assert answer.status in (200, 400, 403, 404, 421)
    assert "Traceback" not in answer.body


@pytest.mark.parametrize(
    "query", [b"build_token=%ff", b"build_token=" + b"x" * 20_000, b"build_token=a.b.c&build_token", b"%"]
)
def test_invalid_queries_are_answered(bindery: LocalRuntime, plain: str, query: bytes) -> None:
    answer = bindery.raw(f"/build/git/{plain}?".encode() + query + b"&build_only=1", ACCEPT)
    assert answer.status in (200, 400)


def test_a_redirect_to_this_machine_is_not_followed(
    bindery: LocalRuntime, git_server: GitServer, tempted: tuple[int, list[str]]
) -> None:
    port, _ = tempted
    for number, to in enumerate(
        (f"http://127.0.0.1:{port}/r", f"http://localhost:{port}/r", "http://169.254.169.254/r", "file:///etc/passwd")
    ):
        git_server.answers[f"/away{number}"] = (302, {"Location": to})
        failed = bindery.launch(f"{quote(git_server.url(f'away{number}'), safe='')}/HEAD")
        assert failed.phases == ["failed"]
        check_readable(failed.last.message)


def test_a_redirect_loop_ends(bindery: LocalRuntime, git_server: GitServer) -> None:
    git_server.answers["/round"] = (302, {"Location": "/round/info/refs?service=git-upload-pack"})
    failed = bindery.launch(f"{quote(git_server.url('round'), safe='')}/HEAD")
    check_readable(failed.last.message)


def test_a_missing_repository_is_reported(bindery: LocalRuntime, git_server: GitServer) -> None:
    failed = bindery.launch(f"{quote(git_server.url('no-such.git'), safe='')}/HEAD")
    assert failed.phases == ["failed"]
    assert failed.last.message.startswith("There is no repository at ")


def test_a_missing_branch_is_reported(bindery: LocalRuntime, git_server: GitServer) -> None:
    folder = git_server.root / "empty.git"
    make_repository(folder, {"README.md": "x\n"}, branch="other")
    failed = bindery.launch(f"{quote(git_server.url('empty.git'), safe='')}/never")
    assert "never" in failed.last.message
