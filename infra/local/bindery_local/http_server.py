"""The HTTP front: what API Gateway is on AWS. Routes come from the template."""

import base64
import importlib
import re
from collections import Counter
from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bindery.settings import Settings
from bindery.web.base_url import is_loopback
from bindery.web.body_limit import LARGEST_BODY, refusal
from bindery_local.aws_events import Context, from_request, path_of
from bindery_local.loopback_owner import is_ours
from bindery_local.template import Function, System

FOREIGN_HOST = "This Bindery runs its sessions as processes of this machine, so it answers only to localhost.\n"
FOREIGN_NAME = "This Bindery fetches repositories that are not public, so it answers only to the name that BINDERY_PUBLIC_URL gives it.\n"
OTHER_USER = "This Bindery runs code as the user who started it, so it answers only to that user.\n"
NO_ROUTE = {"message": "There is nothing at this address. A launch link looks like /v2/gh/owner/repository/HEAD"}
PORT = re.compile(r":[0-9]{1,5}\Z", re.ASCII)
Handler = Callable[[object, object], MutableMapping[str, Any]]


class Front:
    """Hands each request to the function that the template names for it, and nothing else to nobody.

    only_loopback: only to this user, and only under loopback names. public_name: the one other host name that is answered, empty
    if there is none; None: whatever the name. A page whose own name was made to lead here would otherwise count as ours.
    """

    def __init__(self, system: System, only_loopback: bool, public_name: str | None = None) -> None:
        self.routes = system.routes
        self.busy = system.busy
        self.only_loopback = only_loopback
        self.public_name = public_name
        self.streams: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = path_of(scope)
        route = next((route for route in self.routes if route.matches(request.method, path)), None)
        host = request.headers.get("host", "")
        if self.public_name is not None and not (is_loopback(host) or name_of(host) == self.public_name):
            await PlainTextResponse(FOREIGN_NAME, 421)(scope, receive, send)
        elif self.only_loopback and not is_loopback(host):
            await PlainTextResponse(FOREIGN_HOST, 421)(scope, receive, send)
        elif self.only_loopback and not is_ours(scope["client"], scope["server"]):
            await PlainTextResponse(OTHER_USER, 403)(scope, receive, send)
        elif route is None:
            await JSONResponse(NO_ROUTE, 404)(scope, receive, send)
        elif route.function.streams:
            ours = [(name, value) for name, value in scope["headers"] if not name.startswith(b"x-amzn-")]
            await self._stream(route.function, {**scope, "headers": ours}, receive, send)
        else:
            await self._hand_over(route.function, request, send)

    async def _stream(self, function: Function, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams that are open hold up nobody else, and so many may be, as with a reserved concurrency."""
        if function.at_once is not None and self.streams[function.name] >= function.at_once:
            headers = {**self.busy.headers, "Content-Type": "application/json"}
            await Response(self.busy.body, self.busy.status, headers)(scope, receive, send)
            return
        self.streams[function.name] += 1
        try:
            await _app(function.module)(scope, receive, send)
        finally:
            self.streams[function.name] -= 1

    async def _hand_over(self, function: Function, request: Request, send: Send) -> None:
        try:
            body = await _body(request)
        except ClientDisconnect:
            return
        if body is None:
            answer = _response(refusal())
        else:
            answer = await run_sync(_invoke, function, from_request(request, body))
        if request.method == "HEAD":
            del answer.headers["content-length"]  # it would be that of a GET, whose body the function left out
        await answer(request.scope, request.receive, send)


def public_name(settings: Settings) -> str | None:
    """Return the front's `public_name`: compared if repositories that are not public can be fetched.

    Private repositories: with or without a public address. Private hosts: only with one, since without it Bindery has whatever
    name a request says. Sessions that are processes of this machine: None, since the front is bound to loopback names then.
    """
    if settings.launcher == "process":
        return None
    name = name_of(urlsplit(settings.public_url).netloc)
    is_compared = settings.private_repositories or (settings.allowed_private_hosts and name)
    return name if is_compared else None


def name_of(host: str) -> str:
    """The name in a `Host` header, in lower case and without its port."""
    return PORT.sub("", host).lower()


async def _body(request: Request) -> bytes | None:
    """The request's body; None as soon as it is too long, whether it told its length or not."""
    if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
        return None
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > LARGEST_BODY:
            return None
    return bytes(read)


@cache
def _app(module: str) -> ASGIApp:
    made: ASGIApp = importlib.import_module(module).app()
    return made


def _invoke(function: Function, event: object) -> Response:
    try:
        handler: Handler = importlib.import_module(function.module).handler
        return _response(handler(event, Context(function.name)))
    except Exception:  # noqa: BLE001  # as API Gateway does; the handler's own wrapper has logged it
        return JSONResponse({"message": "Internal server error"}, 502)


def _response(answer: MutableMapping[str, Any]) -> Response:
    """From the shape that a REST API wants of a function."""
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    response = Response(content, answer["statusCode"])
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        for value in values:
            response.headers.append(name, value)
    for name, value in (answer.get("headers") or {}).items():
        response.headers[name] = value
    return response
