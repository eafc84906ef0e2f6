"""A GitHub API on loopback: recorded answers where there are any, else answers made from local git repositories.

What is not recorded follows GitHub's documentation: trees (docs.github.com/en/rest/git/trees), blobs
(docs.github.com/en/rest/git/blobs), commits (docs.github.com/en/rest/commits/commits#get-a-commit), conditional requests and rate
limits (docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api and
.../rate-limits-for-the-rest-api), redirects of renamed repositories (same best practices page).
"""

import json
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict
from urllib.parse import unquote

from tests.serving.git_http import git

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "api.github.com.json"
LISTING_LIMIT = 100_000


class Recording(TypedDict):
    code: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Reply:
    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """headers: names in lower case."""

    path: str
    headers: Mapping[str, str]
    status: int


def recordings() -> dict[str, Recording]:
    """The recorded answers by address; empty where they are absent."""
    if not RECORDINGS.exists():
        return {}
    found: dict[str, Recording] = json.loads(RECORDINGS.read_text(encoding="utf-8"))
    return found


class GitHubServer:
    """Serves `owner/repository` -> bare repository, while its `with` block lasts.

    renamed: old name -> new name. limited_until: UTC seconds, then every counted question is refused until it is cleared.
    tokens: those accepted; another one is refused with 401. truncated: listings say so. replies: path -> what is said instead.
    """

    def __init__(self, repositories: Mapping[str, Path] | None = None) -> None:
        self.repositories = dict(repositories or {})
        self.recorded = recordings()
        self.renamed: dict[str, str] = {}
        self.limited_until: int | None = None
        self.tokens: set[str] = set()
        self.truncated = False
        self.replies: dict[str, Reply] = {}
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`, as BINDERY_ALLOWED_PRIVATE_HOSTS takes it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The API's address."""
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        """What the API says, ETags and limits included."""
        authorization = headers.get("authorization", "")
        if authorization and authorization.removeprefix("Bearer ") not in self.tokens:
            return Reply(401, {"message": "Bad credentials"})
        found = self.replies.get(path.partition("?")[0]) or self._found(path)
        etag = found.headers.get("ETag") or f'"{sha256(json.dumps(found.body).encode()).hexdigest()}"'
        if found.status == 200 and headers.get("if-none-match") == etag:
            return Reply(304, headers={"ETag": etag})
        if self.limited_until is not None:
            limited = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(self.limited_until)}
            return Reply(403, {"message": "API rate limit exceeded"}, limited)
        return Reply(found.status, found.body, {"ETag": etag, **found.headers})

    def _found(self, path: str) -> Reply:
        plain, _, query = path.partition("?")
        if recorded := self.recorded.get(f"https://api.github.com{plain}"):
            return Reply(recorded["code"], json.loads(recorded["body"]), {"ETag": recorded["headers"].get("Etag", "")})
        match = re.fullmatch(r"/repos/([^/]+/[^/]+)/(commits|git/trees|git/blobs)/(.+)", plain)
        if match is None:
            return Reply(404, {"message": "Not Found"})
        name, kind, what = match.groups()
        if name in self.renamed:
            location = f"{self.url}{path.replace(name, self.renamed[name], 1)}"
            return Reply(301, {"message": "Moved Permanently", "url": location}, {"Location": location})
        folder = self.repositories.get(name)
        if folder is None:
            return Reply(404, {"message": "Not Found"})
        if kind == "commits":
            return _commit(folder, unquote(what))
        return self._tree(folder, what, "recursive=1" in query) if kind == "git/trees" else _blob(folder, what)

    def _tree(self, folder: Path, tree: str, recursive: bool) -> Reply:
        listed = git("-C", folder, "ls-tree", "-z", *(["-r", "-t"] if recursive else []), tree)
        entries = []
        for line in filter(None, listed.split(b"\0")):
            mode, kind, sha = line.partition(b"\t")[0].decode().split()
            path = line.partition(b"\t")[2].decode(errors="replace")
            entries.append({"path": path, "mode": mode, "type": kind, "sha": sha})
        truncated = self.truncated or len(entries) > LISTING_LIMIT
        return Reply(200, {"sha": tree, "tree": entries[:LISTING_LIMIT], "truncated": truncated})


def _commit(folder: Path, ref: str) -> Reply:
    if not git("-C", folder, "for-each-ref", "--count=1"):
        return Reply(409, {"message": "Git Repository is empty."})
    try:
        commit = git("-C", folder, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").decode().strip()
    except RuntimeError:
        return Reply(422, {"message": f"No commit found for SHA: {ref}"})
    tree = git("-C", folder, "rev-parse", f"{commit}^{{tree}}").decode().strip()
    return Reply(200, {"sha": commit, "commit": {"message": "change", "tree": {"sha": tree}}, "files": []})


def _blob(folder: Path, blob: str) -> Reply:
    try:
        content = git("-C", folder, "cat-file", "blob", blob)
    except RuntimeError:
        return Reply(404, {"message": "Not Found"})
    return Reply(200, {"sha": blob, "size": len(content), "encoding": "base64", "content": b64encode(content).decode()})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: GitHubServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left early is no error here; everything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # a socket and its address, as they came


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.owner.reply(self.path, headers)
        self.server.owner.asked.append(Asked(self.path, headers, reply.status))
        body = b"" if reply.status == 304 else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Tests look at `asked` instead."""
