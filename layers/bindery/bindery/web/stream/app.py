"""`GET /build/...`: a launch as server-sent events. The stream is open until the launch is ready or failed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from anyio import CancelScope
from anyio.to_thread import run_sync
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import request_response

from bindery.domain.errors import BinderyError, Retryable, TooManyStreams
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Phase, Stage
from bindery.domain.launch_request import LaunchRequest, OpenedLaunch, StreamCursor, StreamEvent
from bindery.domain.sessions import Session
from bindery.domain.tokens import Tokens
from bindery.state.launches import key_of
from bindery.web.base_url import Own, read_link
from bindery.web.cors import Cors
from bindery.web.errors.render import error_message
from bindery.web.proxies import NO_PROXIES, Proxies, scheme_of
from bindery.web.stream.change_notifier import LATEST, ChangeNotifier, PollInterval
from bindery.web.stream.payloads import built_payload, failed_payload, payload, ready_payload
from bindery.web.stream.queue_position import QueuePositions

KEEPALIVE_SECONDS = 25
BUSY_SECONDS = 30
"""Seconds until a client that watches too many launches should try again: one of them may have ended."""
LAST_LINES_SECONDS = 0.4
ASK_AFTER_SECONDS = 5
"""Seconds after which a page that waits for a build polls the API: an open stream costs several times as much."""
AGAIN_MS = 500
GOES_ON = "The build goes on. Open the same link again to see how it stands: {link}\n"


class Follow(Protocol):
    """Reader of a launch: its events since a cursor, its build's place in the queue, and its session once it is ready."""

    def __call__(self, launch: str, cursor: StreamCursor, /) -> tuple[Launch, list[StreamEvent]]: ...
    def builds_before(self, launch: Launch) -> int | None: ...
    def builds_refused(self, launch: Launch) -> str: ...
    def session(self, launch: Launch) -> Session | Failure: ...


@dataclass(frozen=True)
class Stream:
    """App behind `/build`. public_url: empty means from the request. cors: sites with scripts that may read the events.

    longest_seconds: a stream's longest duration, since API Gateway cuts it at 15 minutes; 0: to its launch's end.
    notifier: notifies of writes to the table; None if other processes write it.
    close: releases a client's stream; the number of open streams per client is limited. proxies: trusted for the client's
    address.
    page_seconds: the same as longest_seconds for our own page, which says that it resumes; 0: as for other clients. Streams of
    other clients do not end early because of it: BinderHub's clients take a closed stream for a failure.
    """

    open_launch: Callable[[LaunchRequest], OpenedLaunch]
    follow: Follow
    tokens: Tokens
    public_url: str
    cors: Cors
    longest_seconds: float = 0
    notifier: ChangeNotifier | None = None
    page_seconds: float = 0
    close: Callable[[str, str], None] | None = None
    proxies: Proxies = NO_PROXIES

    def app(self) -> Starlette:
        app = Starlette()
        app.router.default = request_response(self.answer)  # the app serves every path, with any characters
        return app

    async def answer(self, request: Request) -> Response:
        """Return the response: always 200 with events, even if the launch fails; BinderHub's clients expect that."""
        if request.method != "GET":  # other methods start no launch
            if request.method in ("HEAD", "OPTIONS"):
                return Response(status_code=204, headers=self._headers(request))
            return PlainTextResponse(
                "This address is only read, with GET.\n", 405, {**self._headers(request), "allow": "GET"}
            )
        if "text/event-stream" not in request.headers.get("accept", ""):
            hint = "This address streams events. Ask with the header `Accept: text/event-stream`, or open the link under /v2/.\n"
            return PlainTextResponse(hint, 406, self._headers(request))
        try:
            launch_request = self._launch_request(request)
            opened = await run_sync(self.open_launch, launch_request)
        except TooManyStreams as error:
            return self._busy(error, request)
        except BinderyError as error:
            return self._events(_once(failed_payload(error, status_code=True)), self._headers(request))
        rate = opened.rate
        limits = {f"x-ratelimit-{name}": str(value) for name, value in vars(rate).items()} if rate else {}
        return self._events(
            self._relay(opened, launch_request, resumes=self._resumes(request)), {**self._headers(request), **limits}
        )

    def _resumes(self, request: Request) -> bool:
        """Return True if the client is our own page and will reconnect."""
        query = request.query_params
        return bool(self.page_seconds and query.get("resumes") == "1" and query.get("build_token"))

    def _launch_request(self, request: Request) -> LaunchRequest:
        link = read_link(request.scope["raw_path"].decode("utf-8", "replace"), "/build/")
        headers, query = request.headers, request.query_params
        client, scheme = self._sender(request)
        own = Own.of(self.public_url, scheme, headers.get("host", ""), stage_of(request))
        return LaunchRequest(
            provider=link.provider,
            spec=link.spec,
            client=client,
            launch_host=own.address,
            own_origin=own.origin,
            origin=headers.get("origin", ""),
            site=headers.get("sec-fetch-site", ""),
            build_token=query.get("build_token", ""),
            last_event_id=headers.get("last-event-id", ""),
            build_only=query.get("build_only", "").lower() in ("true", "1"),
            streams=True,
        )

    def _sender(self, request: Request) -> tuple[str, str]:
        """Return the client's address, and the scheme of its own connection, from API Gateway or else from trusted proxies."""
        peer = peer_of(request)
        forwarded_for, proto = (
            ",".join(request.headers.getlist(name)) for name in ("x-forwarded-for", "x-forwarded-proto")
        )
        client = self.proxies.client(peer, forwarded_for)
        if _context(request) is not None:  # API Gateway has written it
            return client, scheme_of(proto, "http")
        return client, self.proxies.scheme(peer, request.url.scheme, proto)

    def _headers(self, request: Request) -> dict[str, str]:
        return {
            **self.cors.headers(request.headers.get("origin", "")),
            "access-control-allow-headers": "authorization, last-event-id, x-xsrftoken",
            "cache-control": "no-store",
        }

    def _busy(self, error: TooManyStreams, request: Request) -> Response:
        """Return the error as a response, not as an event: a failed phase would say that the launch has ended.

        Pages then poll the API, as after any refusal.
        """
        response = error_message(error)
        headers = {**self._headers(request), "retry-after": str(BUSY_SECONDS)}
        return JSONResponse({"code": response.code, "message": response.message}, response.status, headers)

    def _events(self, events: AsyncIterator[ServerSentEvent], headers: Mapping[str, str]) -> Response:
        return EventSourceResponse(
            events,
            headers=headers,
            ping=KEEPALIVE_SECONDS,
            sep="\n",
            ping_message_factory=lambda: b":keepalive\n\n",  # type: ignore[arg-type, return-value]  # bytes go out as they are
        )

    async def _relay(
        self, opened: OpenedLaunch, request: LaunchRequest, *, resumes: bool
    ) -> AsyncIterator[ServerSentEvent]:
        """Yield the events since the client's cursor, then new events, until the launch has ended or the stream has reached its
        longest duration.
        """
        try:
            with self.notifier.of(key_of(opened.launch.id)) if self.notifier else nullcontext() as changes:
                async for event in self._launch_events(opened, request, PollInterval(changes), resumes=resumes):
                    yield event
        finally:
            with CancelScope(shield=True):  # also when the client has left
                await run_sync(self._close, opened, request)

    def _close(self, opened: OpenedLaunch, request: LaunchRequest) -> None:
        """Release the stream. Errors are ignored, so that the stream ends cleanly: its lease expires by itself."""
        if self.close and opened.stream:
            with suppress(BinderyError):
                self.close(request.client, opened.stream)

    async def _launch_events(
        self, opened: OpenedLaunch, request: LaunchRequest, interval: PollInterval, *, resumes: bool
    ) -> AsyncIterator[ServerSentEvent]:
        cursor, waited = StreamCursor.read(opened.cursor), False
        longest = (self.page_seconds if resumes else self.longest_seconds) or float("inf")
        places = QueuePositions(self.follow.builds_before, why=self.follow.builds_refused)
        while interval.age < longest:
            interval.begin()
            try:
                launch, news = await run_sync(self.follow, opened.launch.id, cursor)
            except Retryable:
                await asyncio.sleep(LATEST)
                continue
            except BinderyError as error:
                yield self._event(failed_payload(error), opened.launch.id, cursor)
                return
            if launch.stage is Stage.FAILED and launch.attempt and not waited:
                waited = True
                await asyncio.sleep(LAST_LINES_SECONDS)  # the build's last lines may come after its end
                continue
            if launch.ended and not news:  # the client has all events: send the last one again
                cursor = replace(cursor, events=len(launch.events) - 1)
                continue
            for item in news:
                cursor = item.cursor
                yield self._event(await self._payload(launch, item, request), launch.id, cursor)
            if launch.ended:
                return
            for item in await run_sync(places.news, launch, cursor) if places.due(launch, cursor) else []:
                yield self._event(payload(item.event), launch.id, cursor)
            if resumes and launch.stage is Stage.BUILDING and interval.age >= ASK_AFTER_SECONDS:
                yield self._page_event("ask", opened.launch.id, cursor)
                return
            await interval.pause(notified=launch.stage is not Stage.BUILDING)  # log lines change no launch record
        yield self._last_word(opened.launch.id, cursor, request, resumes=resumes)

    def _last_word(
        self, launch: str, cursor: StreamCursor, request: LaunchRequest, *, resumes: bool
    ) -> ServerSentEvent:
        """Return the last event of a stream that has reached its longest duration."""
        if resumes:
            return self._page_event("again", launch, cursor)
        link = f"{request.launch_host}v2/{request.provider}/{request.spec}"
        return self._event({"phase": "waiting", "message": GOES_ON.format(link=link)}, launch, cursor)

    async def _payload(self, launch: Launch, item: StreamEvent, request: LaunchRequest) -> dict[str, object]:
        match item.event.phase:
            case Phase.FAILED:
                return failed_payload(launch.failure or Failure(kind="StepFailed"))
            case Phase.READY if launch.build_only:
                return built_payload(launch)
            case Phase.READY:
                session = await run_sync(self.follow.session, launch)
                return (
                    failed_payload(session)
                    if isinstance(session, Failure)
                    else ready_payload(launch, session, request.client)
                )
            case _:
                return payload(item.event, launch.image)

    def _page_event(self, name: str, launch: str, cursor: StreamCursor) -> ServerSentEvent:
        """Return an event for our own page. `ask`: poll the API for the launch from now on. `again`: connect again, there was no error."""
        return ServerSentEvent("{}", event=name, id=self.tokens.event_id(launch, str(cursor)), retry=AGAIN_MS, sep="\n")

    def _event(self, data: Mapping[str, object], launch: str, cursor: StreamCursor) -> ServerSentEvent:
        return ServerSentEvent(json.dumps(data), id=self.tokens.event_id(launch, str(cursor)), sep="\n")


async def _once(data: Mapping[str, object]) -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(json.dumps(data), sep="\n")


def peer_of(request: Request) -> str:
    """Return the peer's address: from API Gateway's context if the Web Adapter sends it, else the connection's."""
    context = _context(request)
    if context is not None:
        try:
            return str(context["identity"]["sourceIp"])
        except (KeyError, TypeError):
            return "unknown"
    return request.client.host if request.client else "unknown"


def stage_of(request: Request) -> str:
    """Return API Gateway's stage, if the Web Adapter sends its context."""
    return str((_context(request) or {}).get("stage", ""))


def _context(request: Request) -> dict[str, Any] | None:
    """Return API Gateway's context of the request; None without the Web Adapter."""
    header = request.headers.get("x-amzn-request-context", "")
    try:
        context = json.loads(header) if header else None
    except ValueError:
        return {}
    return context if context is None or isinstance(context, dict) else {}
