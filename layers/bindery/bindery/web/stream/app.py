"""`GET /build/...`: a launch as server-sent events, open until it is ready or failed."""

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
"""When a client that watches too many launches may try again: one of them may have ended."""
LAST_LINES_SECONDS = 0.4
ASK_AFTER_SECONDS = 5
"""A page that waits for a build asks from then on: holding a stream open costs several times as much."""
AGAIN_MS = 500
GOES_ON = "The build goes on. Open the same link again to see how it stands: {link}\n"


class Follow(Protocol):
    """What there is to tell of a launch since `told`, its build's place in line, and its session once it is ready."""

    def __call__(self, launch: str, told: StreamCursor) -> tuple[Launch, list[StreamEvent]]: ...
    def builds_before(self, launch: Launch) -> int | None: ...
    def builds_refused(self, launch: Launch) -> str: ...
    def session(self, launch: Launch) -> Session | Failure: ...


@dataclass(frozen=True)
class Stream:
    """The app behind `/build`. public_url: empty means as the request says. cors: sites whose scripts may read the events.

    longest_seconds: how long a stream is open at most, since API Gateway cuts it at 15 minutes; 0: to its launch's end.
    word: of what is written to the table; None where other processes write it.
    close: gives back a client's stream, of which it may have so many open. proxies: whose word counts on who the client is.
    page_seconds: the same as longest_seconds for our own page, which says that it resumes; 0: as for others. Nobody else's stream
    ends before its launch because of it: BinderHub's clients take a closed stream for a failure.
    """

    open_launch: Callable[[LaunchRequest], OpenedLaunch]
    follow: Follow
    tokens: Tokens
    public_url: str
    cors: Cors
    longest_seconds: float = 0
    word: ChangeNotifier | None = None
    page_seconds: float = 0
    close: Callable[[str, str], None] | None = None
    proxies: Proxies = NO_PROXIES

    def app(self) -> Starlette:
        app = Starlette()
        app.router.default = request_response(self.answer)  # every path is ours, whatever characters it holds
        return app

    async def answer(self, request: Request) -> Response:
        """Always 200 with events, whatever is wrong with the launch; BinderHub's clients expect that."""
        if request.method != "GET":  # looking starts nothing
            if request.method in ("HEAD", "OPTIONS"):
                return Response(status_code=204, headers=self._headers(request))
            return PlainTextResponse(
                "This address is only read, with GET.\n", 405, {**self._headers(request), "allow": "GET"}
            )
        if "text/event-stream" not in request.headers.get("accept", ""):
            told = "This address streams events. Ask with the header `Accept: text/event-stream`, or open the link under /v2/.\n"
            return PlainTextResponse(told, 406, self._headers(request))
        try:
            asked = self._asked(request)
            opened = await run_sync(self.open_launch, asked)
        except TooManyStreams as error:
            return self._busy(error, request)
        except BinderyError as error:
            return self._events(_once(failed_payload(error, status_code=True)), self._headers(request))
        rate = opened.rate
        limits = {f"x-ratelimit-{name}": str(value) for name, value in vars(rate).items()} if rate else {}
        return self._events(
            self._relay(opened, asked, resumes=self._resumes(request)), {**self._headers(request), **limits}
        )

    def _resumes(self, request: Request) -> bool:
        """Return whether this is our own page, and is to come back."""
        query = request.query_params
        return bool(self.page_seconds and query.get("resumes") == "1" and query.get("build_token"))

    def _asked(self, request: Request) -> LaunchRequest:
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
        """The client's address, and the scheme of its own connection, as API Gateway or else trusted proxies have them."""
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
        """Not as an event: a failed phase would say that the launch has ended. Pages then ask the API, as after any refusal."""
        shown = error_message(error)
        headers = {**self._headers(request), "retry-after": str(BUSY_SECONDS)}
        return JSONResponse({"code": shown.code, "message": shown.message}, shown.status, headers)

    def _events(self, events: AsyncIterator[ServerSentEvent], headers: Mapping[str, str]) -> Response:
        return EventSourceResponse(
            events,
            headers=headers,
            ping=KEEPALIVE_SECONDS,
            sep="\n",
            ping_message_factory=lambda: b":keepalive\n\n",  # type: ignore[arg-type, return-value]  # bytes go out as they are
        )

    async def _relay(
        self, opened: OpenedLaunch, asked: LaunchRequest, *, resumes: bool
    ) -> AsyncIterator[ServerSentEvent]:
        """Everything not told yet, then what comes, until the launch has ended or the stream has been open for long."""
        try:
            with self.word.of(key_of(opened.launch.id)) if self.word else nullcontext() as word:
                async for event in self._told(opened, asked, PollInterval(word), resumes=resumes):
                    yield event
        finally:
            with CancelScope(shield=True):  # also when the client has left
                await run_sync(self._close, opened, asked)

    def _close(self, opened: OpenedLaunch, asked: LaunchRequest) -> None:
        """Trouble is no reason to end a stream badly: its lease ends by itself."""
        if self.close and opened.stream:
            with suppress(BinderyError):
                self.close(asked.client, opened.stream)

    async def _told(
        self, opened: OpenedLaunch, asked: LaunchRequest, looks: PollInterval, *, resumes: bool
    ) -> AsyncIterator[ServerSentEvent]:
        told, waited = StreamCursor.read(opened.told), False
        longest = (self.page_seconds if resumes else self.longest_seconds) or float("inf")
        places = QueuePositions(self.follow.builds_before, why=self.follow.builds_refused)
        while looks.age < longest:
            looks.begin()
            try:
                launch, tellings = await run_sync(self.follow, opened.launch.id, told)
            except Retryable:
                await asyncio.sleep(LATEST)
                continue
            except BinderyError as error:
                yield self._event(failed_payload(error), opened.launch.id, told)
                return
            if launch.stage is Stage.FAILED and launch.attempt and not waited:
                waited = True
                await asyncio.sleep(LAST_LINES_SECONDS)  # the build's last lines may come after its end
                continue
            if launch.ended and not tellings:  # all was told; the end is told again
                told = replace(told, events=len(launch.events) - 1)
                continue
            for telling in tellings:
                told = telling.told
                yield self._event(await self._payload(launch, telling, asked), launch.id, told)
            if launch.ended:
                return
            for telling in await run_sync(places.news, launch, told) if places.due(launch, told) else []:
                yield self._event(payload(telling.event), launch.id, told)
            if resumes and launch.stage is Stage.BUILDING and looks.age >= ASK_AFTER_SECONDS:
                yield self._page_event("ask", opened.launch.id, told)
                return
            await looks.pause(word_comes=launch.stage is not Stage.BUILDING)  # the lines of its log come by themselves
        yield self._last_word(opened.launch.id, told, asked, resumes=resumes)

    def _last_word(self, launch: str, told: StreamCursor, asked: LaunchRequest, *, resumes: bool) -> ServerSentEvent:
        """Of a stream that has been open for long."""
        if resumes:
            return self._page_event("again", launch, told)
        link = f"{asked.launch_host}v2/{asked.provider}/{asked.spec}"
        return self._event({"phase": "waiting", "message": GOES_ON.format(link=link)}, launch, told)

    async def _payload(self, launch: Launch, telling: StreamEvent, asked: LaunchRequest) -> dict[str, object]:
        match telling.event.phase:
            case Phase.FAILED:
                return failed_payload(launch.failure or Failure(kind="StepFailed"))
            case Phase.READY if launch.build_only:
                return built_payload(launch)
            case Phase.READY:
                session = await run_sync(self.follow.session, launch)
                return (
                    failed_payload(session)
                    if isinstance(session, Failure)
                    else ready_payload(launch, session, asked.client)
                )
            case _:
                return payload(telling.event, launch.image)

    def _page_event(self, name: str, launch: str, told: StreamCursor) -> ServerSentEvent:
        """For our own page. `ask`: ask the API how the launch stands from now on. `again`: connect again, all is well."""
        return ServerSentEvent("{}", event=name, id=self.tokens.event_id(launch, str(told)), retry=AGAIN_MS, sep="\n")

    def _event(self, data: Mapping[str, object], launch: str, told: StreamCursor) -> ServerSentEvent:
        return ServerSentEvent(json.dumps(data), id=self.tokens.event_id(launch, str(told)), sep="\n")


async def _once(data: Mapping[str, object]) -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(json.dumps(data), sep="\n")


def peer_of(request: Request) -> str:
    """The peer's address: as API Gateway saw it where the Web Adapter tells, else the connection's."""
    context = _context(request)
    if context is not None:
        try:
            return str(context["identity"]["sourceIp"])
        except (KeyError, TypeError):
            return "unknown"
    return request.client.host if request.client else "unknown"


def stage_of(request: Request) -> str:
    """API Gateway's, where the Web Adapter tells."""
    return str((_context(request) or {}).get("stage", ""))


def _context(request: Request) -> dict[str, Any] | None:
    """What API Gateway knows of the request; None where nobody tells."""
    told = request.headers.get("x-amzn-request-context", "")
    try:
        read = json.loads(told) if told else None
    except ValueError:
        return {}
    return read if read is None or isinstance(read, dict) else {}
