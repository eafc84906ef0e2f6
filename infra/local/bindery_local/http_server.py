"""HTTP front of the local runtime, in place of API Gateway. Routes come from the template."""

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
from bindery_local.socket_owners import is_our_connection
from bindery_local.template import Function, System

FOREIGN_HOST = "This Bindery runs its sessions as processes of this machine, so it answers only to localhost.\n"
FOREIGN_NAME = "This Bindery fetches repositories that are not public, so it answers only to the name that BINDERY_PUBLIC_URL gives it.\n"
OTHER_USER = "This Bindery runs code as the user who started it, so it answers only to that user.\n"
NO_ROUTE = {"message": "There is nothing at this address. A launch link looks like /v2/gh/owner/repository/HEAD"}
PORT = re.compile(r":[0-9]{1,5}\Z", re.ASCII)
Handler = Callable[[object, object], MutableMapping[str, Any]]


class Front:
    """ASGI app that passes each request to the function that the template names for it.

    only_loopback: answer only this user, and only under loopback names. public_name: the one other host name to answer, empty if
    there is none; None: answer every name. Without this check, a page under a foreign host name that resolves to this machine would
    count as a page of Bindery.
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
        elif self.only_loopback and not is_our_connection(scope["client"], scope["server"]):
            await PlainTextResponse(OTHER_USER, 403)(scope, receive, send)
        elif route is None:
            await JSONResponse(NO_ROUTE, 404)(scope, receive, send)
        elif route.function.streams:
            headers = [(name, value) for name, value in scope["headers"] if not name.startswith(b"x-amzn-")]
            await self._stream(route.function, {**scope, "headers": headers}, receive, send)
        else:
            await self._hand_over(route.function, request, send)

    async def _stream(self, function: Function, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a streaming function. Open streams do not delay other requests. Their number is limited as by reserved concurrency."""
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
            del answer.headers["content-length"]  # a HEAD's content length is a GET's, and the function omits the body
        await answer(request.scope, request.receive, send)


def public_name(settings: Settings) -> str | None:
    """Return the front's `public_name`: the host name is checked if repositories that are not public can be fetched.

    Private repositories: it is checked with or without a public address. Private hosts: only with one, since without it Bindery
    accepts every name in a request. Sessions that are processes of this machine: None, since the front then answers only loopback
    names.
    """
    if settings.launcher == "process":
        return None
    name = name_of(urlsplit(settings.public_url).netloc)
    is_compared = settings.private_repositories or (settings.allowed_private_hosts and name)
    return name if is_compared else None


def name_of(host: str) -> str:
    """Return the name in a `Host` header, in lower case and without its port."""
    return PORT.sub("", host).lower()


async def _body(request: Request) -> bytes | None:
    """Return the request's body, or None as soon as it exceeds the limit, with or without a Content-Length header."""
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
    app: ASGIApp = importlib.import_module(module).app()
    return app


def _invoke(function: Function, event: object) -> Response:
    try:
        handler: Handler = importlib.import_module(function.module).handler
        return _response(handler(event, Context(function.name)))
    except Exception:  # noqa: BLE001  # as API Gateway does; the handler's wrapper has logged it
        return JSONResponse({"message": "Internal server error"}, 502)


def _response(answer: MutableMapping[str, Any]) -> Response:
    """Return a response from a REST API function's result."""
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    response = Response(content, answer["statusCode"])
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        for value in values:
            response.headers.append(name, value)
    for name, value in (answer.get("headers") or {}).items():
        response.headers[name] = value
    return response
