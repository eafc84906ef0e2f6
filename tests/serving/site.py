"""A web site on loopback that answers GET as a test's host would, and remembers its requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl

from tests.serving.loopback import Loopback, Quiet


@dataclass(frozen=True)
class Reply:
    """An answer. body: bytes as they are, any other value as JSON."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def moved(url: str) -> Reply:
    """Return a redirect to another address."""
    return Reply(302, b"", {"Location": url})


MISSING = Reply(404, {"message": "Not Found"})


class Site(Loopback):
    """A server that runs while its `with` block lasts. replies: path -> the answer to send instead.

    requests: paths with their queries, in order.
    """

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[str] = []
        super().__init__(_Handler)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        """Return the answer of this kind of host. path: percent-encoded, as it came."""
        return MISSING

    def answer(self, target: str) -> Reply:
        self.requests.append(target)
        path, _, query = target.partition("?")
        return self.replies.get(path) or self.found(path, dict(parse_qsl(query, keep_blank_values=True)))


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        reply = self.server.owner.answer(self.path)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send(reply.status, body, reply.headers)
