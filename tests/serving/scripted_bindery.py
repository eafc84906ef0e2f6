"""Bindery's pages on loopback, over an event stream that follows a script: for tests of the pages in a browser alone."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BinderyError
from bindery.ports.repository_provider import RepositoryProvider
from bindery.usecases.detect_address import DetectAddress
from bindery.web.api.detect import detected
from bindery.web.errors.render import error_message
from bindery.web.pages.assets import asset
from bindery.web.pages.render import LaunchLink, Page, error_page, home_page, launch_page
from bindery.web.pages.session_paths import path_in_session
from tests.serving.loopback import Loopback, Quiet
from tests.serving.providers import every_provider

WAIT_SECONDS = 30
BESIDE = ("id", "event", "retry")


@dataclass
class Gate:
    """A point at which a script waits until the test lets it continue."""

    opened: threading.Event = field(default_factory=threading.Event)


def open_gate() -> Gate:
    gate = Gate()
    gate.opened.set()
    return gate


Script = Sequence[Mapping[str, object] | Gate]
"""Events (the fields in BESIDE go beside the data) and gates. The connection is closed at the end of the script."""


Answer = tuple[int, Mapping[str, str], Mapping[str, object]]


@dataclass(frozen=True)
class Request:
    """A request for the stream, as it came."""

    target: str
    last_event_id: str | None


class ScriptedBindery(Loopback):
    """A server of the pages and the stream. Each connection to the stream plays the next script; without one it is refused with 503.

    looks: the API's answers to a request for a launch's state, in order; the last one is repeated.
    Without any, the launch does not exist.
    created: the launches that it was asked to create. answers: status, headers and body of answers that come first.
    permits: the build tokens of the pages to come.
    """

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.looks: list[Mapping[str, object]] = []
        self.created: list[Mapping[str, object]] = []
        self.permits: list[str] = []
        self.answers: list[Answer] = []
        self.requests: list[Request] = []
        self.sessions: list[str] = []
        self.autostart = True
        self.isolated = True
        self.detecting = open_gate()
        self.checked = True  # whether the link's path is checked here too, or by the page alone
        super().__init__(_Handler)

    @property
    def session_url(self) -> str:
        """Return an address of another origin than the pages', as real sessions have."""
        return f"http://localhost:{self.port}/session/abc/"

    def ready(self, **fields: object) -> dict[str, object]:
        payload = {"message": f"server running at {self.session_url}\n", "url": self.session_url, "token": "s3cret"}
        return {"phase": "ready", **payload, **fields}

    def page(self, target: str) -> Page:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if parts.path == "/":
            return home_page([(name, provider.display) for name, provider in real_providers().items()])
        if not parts.path.startswith("/v2/"):
            return error_page(404, "There is no such page", f"{parts.path}: nothing is here.\nLook at the start page.")
        provider, _, spec = parts.path.removeprefix("/v2/").partition("/")
        names = ("urlpath", "labpath", "filepath")
        path = path_in_session(*(query.get(name) for name in names)) if self.checked else query["urlpath"]
        link = LaunchLink(provider, "GitHub", spec, "https://github.com/o/r", path)
        permit = self.permits.pop(0) if self.permits else "build token"
        return launch_page(link, permit, autostart=self.autostart, isolated=self.isolated)


@cache
def real_providers() -> Mapping[str, RepositoryProvider]:
    """Return all real providers. No test asks their hosts here."""
    return every_provider(GuardedClient())


class _Handler(Quiet, BaseHTTPRequestHandler):
    @property
    def bindery(self) -> ScriptedBindery:
        owner: ScriptedBindery = self.server.owner
        return owner

    def do_GET(self) -> None:
        name = self.path.removeprefix("/assets/").removeprefix("/")
        if self.path.startswith("/build/"):
            self._stream()
        elif self.path.startswith("/api/detect?url="):
            self._detect(parse_qs(urlsplit(self.path).query)["url"][0])
        elif self.path == "/api/launches/l1" and self.headers["Authorization"] == "Bearer launcher":
            looks = self.bindery.looks
            self._tell(200, looks.pop(0) if len(looks) > 1 else looks[0])
        elif self.path.startswith("/session/"):
            self.bindery.sessions.append(self.path)
            self.send(200, b"<title>session</title><h1>the session</h1>", {"Content-Type": "text/html"})
        elif content := asset(name):
            self.send(200, content.body, {"Content-Type": content.content_type})
        else:
            page = self.bindery.page(self.path)
            self.send(page.status, page.body.encode(), page.headers)

    def _detect(self, url: str) -> None:
        self.bindery.detecting.opened.wait(WAIT_SECONDS)
        try:
            status, payload = 200, detected(DetectAddress(real_providers)(url), f"{self.bindery.origin}/")
        except BinderyError as error:
            status, payload = error_message(error).status, {"message": error_message(error).message}
        self.send(status, json.dumps(payload).encode(), {"Content-Type": "application/json"})

    def do_POST(self) -> None:
        request = json.loads(self.body())
        self.bindery.created.append(request)
        if self.bindery.looks and self.path == "/api/launches":
            self._tell(201, {"id": "l1", "launcher_token": "launcher"})
        else:
            self.send(503, b"", {"Retry-After": "0.01"})

    def _tell(self, status: int, payload: Mapping[str, object]) -> None:
        status, headers, payload = self.bindery.answers.pop(0) if self.bindery.answers else (status, {}, payload)
        self.send(status, json.dumps(payload).encode(), {"Content-Type": "application/json", **headers})

    def _stream(self) -> None:
        self.bindery.requests.append(Request(self.path, self.headers["Last-Event-ID"]))
        if not self.bindery.scripts:
            self.send(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")  # at the script's end
        self.end_headers()
        for step in self.bindery.scripts.pop(0):
            if isinstance(step, Gate):
                step.opened.wait(WAIT_SECONDS)
            elif not self._send_event(step):
                return

    def _send_event(self, event: Mapping[str, object]) -> bool:
        bears = "".join(f"{name}: {event[name]}\n" for name in BESIDE if name in event)
        data = json.dumps({name: value for name, value in event.items() if name not in BESIDE})
        try:
            self.wfile.write(f"{bears}data: {data}\n\n".encode())
            self.wfile.flush()
        except OSError:
            return False
        return True
