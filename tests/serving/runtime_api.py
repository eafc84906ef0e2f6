"""Lambda's Runtime API and Extensions API, as far as a function behind the Web Adapter uses them."""

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from itertools import chain
from types import TracebackType

import httpx

from tests.serving.loopback import Loopback, Quiet

SECONDS = 60
RUNTIME = "/2018-06-01/runtime/invocation"
EXTENSION = "/2020-01-01/extension"
BETWEEN = b"\0" * 8
"""The separator between the head of a streamed answer and its body."""
STREAMED = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
}


@dataclass
class _Invocation:
    """An invocation. head: status and headers, as soon as they came. body: the parts that came after them; None is its end."""

    id: str
    event: Mapping[str, object]
    head: "Future[dict[str, object]]" = field(default_factory=Future)
    body: "queue.SimpleQueue[bytes | None]" = field(default_factory=queue.SimpleQueue)

    def parts(self) -> Iterator[bytes]:
        while (part := self.body.get(timeout=SECONDS)) is not None:
            yield part


class RuntimeApi(Loopback):
    """A server for a single instance of a function, while its `with` block lasts.

    idle: how often the function asked for an event so far; it asks for the next one after it has finished one.
    """

    def __init__(self) -> None:
        self.idle = 0
        self.closed = threading.Event()
        self.waiting: queue.SimpleQueue[_Invocation | None] = queue.SimpleQueue()
        self.invocations: dict[str, _Invocation] = {}
        super().__init__(_Handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self.waiting.put(None)
        super().__exit__(kind, error, trace)

    def invoke(self, event: Mapping[str, object]) -> httpx.Response:
        """Return the function's answer as API Gateway passes it on: as soon as its head is there, while its body still comes.

        The function cannot tell if a client reads. Raise RuntimeError if the function failed.
        """
        invocation = _Invocation(f"request-{len(self.invocations) + self.waiting.qsize()}", event)
        self.waiting.put(invocation)
        head = invocation.head.result(SECONDS)
        headers = head["headers"]
        assert isinstance(headers, dict)
        return httpx.Response(int(str(head["statusCode"])), headers=headers, content=invocation.parts())


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == f"{EXTENSION}/event/next":
            self.server.owner.closed.wait()  # the function has not asked for an event
            self.close_connection = True
            return
        assert self.path == f"{RUNTIME}/next"
        self.server.owner.idle += 1
        invocation = self.server.owner.waiting.get()
        if invocation is None:
            self.close_connection = True
            return
        self.server.owner.invocations[invocation.id] = invocation
        about = {"Aws-Request-Id": invocation.id, "Deadline-Ms": str(2**42), "Invoked-Function-Arn": "arn:aws:lambda:f"}
        self._answer(invocation.event, **{f"Lambda-Runtime-{name}": value for name, value in about.items()})

    def do_POST(self) -> None:
        if self.path == f"{EXTENSION}/register":
            self.body()
            self._answer({}, **{"Lambda-Extension-Identifier": "adapter"})
            return
        id_, _, outcome = self.path.removeprefix(f"{RUNTIME}/").partition("/")
        invocation = self.server.owner.invocations[id_]
        if outcome != "response" or any(self.headers[name] != value for name, value in STREAMED.items()):
            invocation.head.set_exception(RuntimeError(f"{outcome}: {b''.join(self._parts())!r}"))
        else:
            self._pass_on(invocation)
        self._answer({"status": "OK"})

    def _pass_on(self, invocation: _Invocation) -> None:
        read, parts = b"", self._parts()
        while BETWEEN not in read:
            read += next(parts)
        head, _, rest = read.partition(BETWEEN)
        invocation.head.set_result(json.loads(head))
        for part in chain([rest], parts, [None]):
            invocation.body.put(part)

    def _parts(self) -> Iterator[bytes]:
        """Yield the request's body: in chunks as they come, or by its length."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.body()
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def _answer(self, payload: Mapping[str, object], **headers: str) -> None:
        self.send(200, json.dumps(payload).encode(), {"Content-Type": "application/json", **headers})
