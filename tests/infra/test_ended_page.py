"""Tests of the page for addresses of sessions that are over, on a real nginx with the shipped configuration."""

import base64
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.serving.manifests import Manifests

PUBLIC_URL = "https://bindery.example.org"
ID = "k2j4h6g8f0a1b3c5d7e9k2j4h6"
AGAIN = f"{PUBLIC_URL}/sessions/"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: str

    @property
    def links(self) -> list[str]:
        return re.findall(r'href="([^"]*)"', self.body)


@dataclass(frozen=True)
class Nginx:
    """A running nginx.

    sockets: folder with `http`, where the gateway would connect, and `probes`.
    """

    sockets: Path

    def ask(self, host: str, path: str = "/", method: str = "GET", more: str = "") -> Answer:
        lines = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
        return self.send(lines.encode("utf-8", "surrogateescape"))

    def send(self, request: bytes, to: str = "http") -> Answer:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.sockets / to))
            client.sendall(request)
            answer = HTTPResponse(client, method=request.partition(b" ")[0].decode())
            answer.begin()
            return Answer(answer.status, answer.headers, answer.read().decode())


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no nginx on PATH")
    with tempfile.TemporaryDirectory(prefix="n") as name:  # short, because sockets in it need a short path
        folder = Path(name)
        _write_files(folder)
        as_here = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
        command = [program, "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", as_here]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                _wait(folder / "probes", process)
                yield Nginx(folder)
            finally:
                process.terminate()


def _write_files(folder: Path) -> None:
    """Write the files that the Pod finds in its ConfigMaps, with sockets in this folder."""
    manifests = Manifests()
    files = {**manifests.one("ConfigMap", "ended")["data"], **manifests.one("ConfigMap", "ended-links")["data"]}
    files["public-url"] = PUBLIC_URL
    here = {
        "/tmp": folder,
        "/etc/bindery": folder,
        "listen 8888": "listen unix:{}/http",
        "listen 8889": "listen unix:{}/probes",
    }
    for there, path in here.items():
        assert there in files["nginx.conf"]
        files["nginx.conf"] = files["nginx.conf"].replace(there, str(path).format(folder))
    for name, text in files.items():
        (folder / name).write_text(text)


def _wait(path: Path, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 10
    while not path.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < until, "nginx does not listen"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "host", [f"{ID}.sessions.localhost:8000", f"{ID}.s.example.org", f"{ID.upper()}.S.example.org"]
)
@pytest.mark.parametrize(
    "path", ["/", "/lab/tree/a.ipynb?token=secret", "/api", "/x.json", "/.ended/page", "/a/%2e%2e/x"]
)
def test_the_address_of_an_ended_session_shows_a_link_to_launch_again(nginx: Nginx, host: str, path: str) -> None:
    answer = nginx.ask(host, path)
    assert answer.status == 410
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>This session has ended</h1>" in answer.body
    assert answer.links == [f"{AGAIN}{ID}"]
    assert "secret" not in answer.body


@pytest.mark.parametrize("path", ["/api/", "/api/status", "/api/kernels/1/channels?token=secret", "/lab/../api/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_programs_get_a_json_answer(nginx: Nginx, path: str, method: str) -> None:
    answer = nginx.ask(f"{ID}.s.example.org", path, method, "Upgrade: websocket\r\nContent-Length: 0\r\n")
    assert answer.status == 410
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == '{"message": "This session has ended.", "reason": "session_ended"}'


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "NONSENSE", "TRACE"])
def test_every_method_gets_the_page(nginx: Nginx, method: str) -> None:
    answer = nginx.ask(f"{ID}.s.example.org", "/files/x", method, "Content-Length: 3\r\n\r\nabc")
    assert (answer.status, answer.links) == (410, [f"{AGAIN}{ID}"])


def test_a_large_body_changes_nothing(nginx: Nginx) -> None:
    answer = nginx.ask(
        f"{ID}.s.example.org", "/files/x", "PUT", "Content-Length: 99999999999\r\nExpect: 100-continue\r\n"
    )
    assert answer.status in (100, 410)
    assert nginx.ask(f"{ID}.s.example.org", "/", "HEAD").body == ""


def test_the_page_is_not_cached_and_runs_no_script(nginx: Nginx) -> None:
    for path in ("/", "/api/status"):
        headers = nginx.ask(f"{ID}.s.example.org", path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["set-cookie"] is None
        assert headers["server"] == "nginx"
        for directive in ("default-src 'none'", "form-action 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert directive in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_the_security_policy_has_the_hash_of_the_page_style(nginx: Nginx) -> None:
    answer = nginx.ask(f"{ID}.s.example.org")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|<link|\sstyle=|\son\w+=|src=", answer.body)


HOSTILE = [
    '"><script>alert(1)</script>.s.example.org',
    '<!--#echo var="session"-->.s.example.org',
    'a"onclick="x.s.example.org',
    "a_b.s.example.org",
    "a-b.s.example.org",
    "..s.example.org",
    ".",
    "a" * 41 + ".s.example.org",
    "a" * 4000 + ".s.example.org",
    "%3cscript%3e.s.example.org",
    "ä.s.example.org",
    "\udcff\udcfe.s.example.org",
    "$session.s.example.org",
    "evil.example/x.s.example.org",
    "user:password@evil.example",
    "[::1]:8000",
    "localhost",
    "",
    " ",
    "a.b\x00c",
]


@pytest.mark.parametrize("host", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("path", ["/", "/api/x", "/<script>alert(1)</script>?\"'><script>"])
def test_request_data_becomes_no_markup_and_no_other_link(nginx: Nginx, host: str, path: str) -> None:
    answer = nginx.ask(host, path)
    assert answer.status in (400, 410)
    for link in answer.links:
        assert re.fullmatch(re.escape(PUBLIC_URL) + r"/(sessions/[a-z0-9]{1,40})?", link)
    assert not re.search(r"script|onclick|alert|password|evil|#echo", answer.body)


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/1.0", b'GET http://a"b.x/ HTTP/1.0', b"GET /\xff HTTP/1.0", b"nonsense"]
)
def test_requests_without_a_host_are_answered(nginx: Nginx, request_line: bytes) -> None:
    answer = nginx.send(request_line + b"\r\n\r\n")
    assert answer.status in (400, 410)
    assert answer.links in ([], [f"{PUBLIC_URL}/"])


def test_a_request_with_two_hosts_is_refused(nginx: Nginx) -> None:
    assert nginx.ask(f"{ID}.s.example.org", "/", "GET", "Host: other.s.example.org\r\n").status == 400


def test_a_host_that_is_no_session_leads_to_the_start_page(nginx: Nginx) -> None:
    assert nginx.ask("a-b.s.example.org").links == [f"{PUBLIC_URL}/"]


def test_probes_have_a_separate_port(nginx: Nginx) -> None:
    assert nginx.send(b"GET / HTTP/1.1\r\nHost: 10.0.0.7:8889\r\nConnection: close\r\n\r\n", to="probes").status == 204
