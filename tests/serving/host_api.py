"""A host's API on loopback: ETags, tokens, limits and the features of each host; recorded answers if they exist."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TypedDict
from urllib.parse import unquote

from tests.serving.loopback import Loopback, Quiet

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings"


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
class Request:
    """A request. headers: names in lower case."""

    path: str
    headers: Mapping[str, str]
    status: int


def recordings(host: str) -> dict[str, Recording]:
    """Return the recorded answers of a host by address; an empty mapping for a host without recordings."""
    file = RECORDINGS / f"{host}.json"
    if not file.exists():
        return {}
    answers: dict[str, Recording] = json.loads(file.read_text(encoding="utf-8"))
    return answers


def recorded(recording: Recording) -> Reply:
    """Return the recorded status and body, with the recorded ETag."""
    return Reply(recording["code"], json.loads(recording["body"]), {"ETag": recording["headers"].get("Etag", "")})


class ApiServer(Loopback):
    """The common part of all hosts, which serves while its `with` block lasts; each host has its own `found`.

    limited_until: UTC seconds; every counted request is refused until this is cleared.
    tokens: the accepted ones; another one is refused with 401. private: names of repositories that are shown to tokens alone.
    forbidden: paths that no token opens. replies: path -> the answer to send instead.
    """

    limited = 403

    def __init__(self) -> None:
        self.limited_until: int | None = None
        self.tokens: set[str] = set()
        self.private: set[str] = set()
        self.forbidden: set[str] = set()
        self.replies: dict[str, Reply] = {}
        self.requests: list[Request] = []
        super().__init__(_Handler)

    @property
    def url(self) -> str:
        """Return the server's address."""
        return f"http://{self.address}"

    def found(self, path: str) -> Reply:
        """Return the host's own answer for a path with its query."""
        raise NotImplementedError

    def to_strangers(self, path: str) -> Reply:
        """Return the answer for a client without a token."""
        return self.found(path)

    def limits(self, until: int) -> dict[str, str]:
        """Return the headers of a refusal because of too many requests."""
        return {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(until)}

    def post(self, path: str, headers: Mapping[str, str]) -> Reply:
        """Return the answer to a POST."""
        return Reply(404, {"message": "Not Found"})

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        """Return the API's answer, with ETags and limits."""
        authorization = headers.get("authorization", "")
        if authorization and authorization.removeprefix("Bearer ") not in self.tokens:
            return Reply(401, {"message": "Bad credentials"})
        if authorization and path.partition("?")[0] in self.forbidden:
            return Reply(403, {"message": "Resource not accessible by personal access token"})
        unseen = not authorization and any(f"/{name}/" in unquote(f"{path}/") for name in self.private)
        target = "/nobody" if unseen else path
        reply = self.replies.get(target.partition("?")[0])
        reply = reply or (self.found(target) if authorization else self.to_strangers(target))
        etag = reply.headers.get("ETag") or f'"{sha256(json.dumps(reply.body).encode()).hexdigest()}"'
        if reply.status == 200 and headers.get("if-none-match") == etag:
            return Reply(304, headers={"ETag": etag})
        if self.limited_until is not None:
            return Reply(self.limited, {"message": "API rate limit exceeded"}, self.limits(self.limited_until))
        return Reply(reply.status, reply.body, {"ETag": etag, **reply.headers})


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._say(self.server.owner.reply)

    def do_POST(self) -> None:
        self.body()
        self._say(self.server.owner.post)

    def _say(self, replies: Callable[[str, Mapping[str, str]], Reply]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = replies(self.path, headers)
        self.server.owner.requests.append(Request(self.path, headers, reply.status))
        body = b"" if reply.status == 304 else json.dumps(reply.body).encode()
        self.send(reply.status, body, reply.headers)
