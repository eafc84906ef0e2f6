"""A real smart-HTTP git server on loopback: git's own http-backend behind Python's threaded HTTP server."""

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from tests.serving.lfs_store import LfsStore
from tests.serving.loopback import Loopback, Quiet

ALONE = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def with_config(settings: Mapping[str, str]) -> dict[str, str]:
    """Return git's environment: no file of the machine's, and these settings before those of a repository's own."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return ALONE | variables


SAFE = {"safe.directory": "*"}
ENVIRONMENT = with_config(SAFE)
ALLOWED = ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant")
"""The requests that large hosts allow."""


@dataclass(frozen=True)
class File:
    """A tree entry that is more than a plain file. mode: git's (0o100755, 0o120000 link, 0o160000 submodule with its id)."""

    content: str | bytes
    mode: int = 0o100644


def git(*arguments: str | bytes | Path, stdin: bytes = b"") -> bytes:
    """Run git and return its standard output; an error carries git's own words."""
    ran = subprocess.run(["git", *arguments], input=stdin, env=ENVIRONMENT, capture_output=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"git {arguments!r}: {ran.stderr.decode(errors='replace')}")
    return ran.stdout


def make_repository(
    folder: Path,
    files: Mapping[str, str | bytes | File],
    *,
    branch: str = "main",
    message: str = "change",
) -> str:
    """Commit exactly `files` on `branch` of the bare repository `folder` (created if absent); return the commit's id.

    Names that are not UTF-8 are written with surrogate escapes. Filters and fetches by id are allowed, as at the large hosts.
    """
    if not folder.exists():
        git("init", "--quiet", "--bare", f"--initial-branch={branch}", folder)
        for key in ALLOWED:
            git("-C", folder, "config", key, "true")
    # Stored as a pack, which is sent as it is. Loose objects are packed for each fetch, which is slow for half a
    # gigabyte.
    packed = ("-c", "fastimport.unpackLimit=1")
    git("-C", folder, *packed, "fast-import", "--quiet", "--force", stdin=_stream(folder, files, branch, message))
    return git("-C", folder, "rev-parse", f"refs/heads/{branch}").decode().strip()


def _stream(folder: Path, files: Mapping[str, str | bytes | File], branch: str, message: str) -> bytes:
    ref = f"refs/heads/{branch}"
    ref_check = subprocess.run(
        ["git", "-C", folder, "show-ref", "--verify", "--quiet", ref], env=ENVIRONMENT, check=False
    )
    lines = [f"commit {ref}\ncommitter A Tester <tester@example.org> 1700000000 +0000\n".encode(), _data(message)]
    if ref_check.returncode == 0:
        lines.append(f"from {ref}^0\n".encode())
    lines.append(b"deleteall\n")
    for path, value in files.items():
        entry = value if isinstance(value, File) else File(value)
        quoted = _quoted(path.encode(errors="surrogateescape"))
        if entry.mode == 0o160000:
            commit = entry.content if isinstance(entry.content, bytes) else entry.content.encode()
            lines.append(b"M 160000 " + commit + b" " + quoted + b"\n")
        else:
            lines += [f"M {entry.mode:o} inline ".encode() + quoted + b"\n", _data(entry.content)]
    return b"".join(lines)


def _data(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return b"data %d\n" % len(raw) + raw + b"\n"


def _quoted(path: bytes) -> bytes:
    return (
        b'"'
        + b"".join(b"\\%03o" % byte if byte < 33 or byte > 126 or byte in b'"\\' else bytes([byte]) for byte in path)
        + b'"'
    )


class GitServer(Loopback):
    """A server for the bare repositories below `root`, protocol version 2 included, while its `with` block lasts.

    environment: git's variables. requests: the requests so far, such as `GET /demo.git/info/refs?service=git-upload-pack`.
    private: path prefix -> the only value of Authorization that is accepted. authorizations: path and value of each request that had one.
    answers: path prefix -> (status, headers) answered in place of git.
    lfs: the server of Git LFS objects for all repositories, if there is one.
    halves: path prefixes with content that stops halfway until `well` is set; half_histories: the equivalent for histories.
    sent: halves sent so far.
    """

    def __init__(self, root: Path, host: str = "127.0.0.1") -> None:
        self.root = root
        self.environment = ENVIRONMENT
        self.requests: list[str] = []
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.private: dict[str, str] = {}
        self.authorizations: list[tuple[str, str]] = []
        self.halves: set[str] = set()
        self.half_histories: set[str] = set()
        self.sent = 0
        self.well = threading.Event()
        self.lfs: LfsStore | None = None
        super().__init__(_Handler, host)

    def url(self, name: str) -> str:
        """Return the clone address of `root/name`."""
        return f"http://{self.address}/{name}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.well.set()
        super().__exit__(kind, error, trace)


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self._answer(b"".join(iter(self._chunk, b"")))
        else:
            self._answer(self.body())

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _answer(self, body: bytes) -> None:
        owner = self.server.owner
        owner.requests.append(f"{self.command} {self.path}")
        authorization = self.headers.get("Authorization", "")
        owner.authorizations += [(self.path, authorization)] if authorization else []
        if any(
            self.path.startswith(prefix) and authorization != required for prefix, required in owner.private.items()
        ):
            return self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        for prefix, (status, headers) in owner.answers.items():
            if self.path.startswith(prefix):
                return self._send(status, list(headers.items()), b"")
        if owner.lfs and (reply := owner.lfs.reply(self.command, self.path, dict(self.headers), body)):
            return self._send(reply.status, list(reply.headers.items()), reply.content)
        ran = subprocess.run(
            ["git", "http-backend"], input=body, env=self._cgi(len(body)), capture_output=True, check=False
        )
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        headers_out = [
            (name, value.strip())
            for name, _, value in (line.partition(":") for line in head.decode().split("\r\n"))
            if name
        ]
        if b"deepen" in body and b"filter" not in body and self.path.startswith(tuple(owner.halves)):
            return self._send_half(headers_out, content)
        if b"filter tree:0" in body and self.path.startswith(tuple(owner.half_histories)):
            return self._send_half(headers_out, content)
        status = next((int(value.split()[0]) for name, value in headers_out if name == "Status"), 200)
        return self._send(status, headers_out, content)

    def _cgi(self, length: int) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            **self.server.owner.environment,
            "GIT_PROJECT_ROOT": str(self.server.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }

    def _send(self, status: int, headers: Sequence[tuple[str, str]], content: bytes) -> None:
        self.send(status, content, {name: value for name, value in headers if name != "Status"})

    def _send_half(self, headers: Sequence[tuple[str, str]], content: bytes) -> None:
        """Send half of the content, and then go silent with the connection open."""
        self.send_response(200)
        for name, value in (*headers, ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.server.owner.sent += 1
        self.server.owner.well.wait()
        self.close_connection = True
