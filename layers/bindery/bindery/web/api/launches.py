"""`/api/launches`: what the event stream does, for people who script."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from bindery.domain.errors import (
    BadRequest,
    BinderyError,
    LaunchNotFound,
    RateLimited,
    Retryable,
    TooManyBuilds,
    TooManySessions,
)
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.launch_request import LaunchRequest, OpenedLaunch, StreamCursor, StreamEvent
from bindery.domain.links import plain_spec
from bindery.domain.sessions import Session
from bindery.domain.tokens import Tokens
from bindery.domain.urls.pasted import PastedUrl
from bindery.web.api.detect import detected
from bindery.web.base_url import Own
from bindery.web.errors.render import error_message
from bindery.web.stream.payloads import words_of
from bindery.web.stream.queue_position import words_of_place

if TYPE_CHECKING:
    from bindery.web.stream.app import Follow

LOG_LINES = 100
PASSES_SECONDS = 5
SHARE_SECONDS = 60
"""When a client that has as much as one client may can try again: a session or a build of its own has to end first."""


class Wanted(BaseModel):
    """The body of `POST /api/launches`. spec: percent-encoded as in a link. build_token: a launch page's, whose launch it means."""

    model_config = ConfigDict(extra="forbid", strict=True)

    provider: str
    spec: str
    build_only: bool = False
    build_token: str = ""


@dataclass(frozen=True)
class Caller:
    """Who asks: address, `Authorization`, and what a browser says of where the request comes from. stage: API Gateway's."""

    client: str
    scheme: str
    headers: Mapping[str, str]
    stage: str = ""

    def header(self, name: str) -> str:
        """A header by its lower-case name; empty if absent."""
        return self.headers.get(name, "")


@dataclass(frozen=True)
class Answer:
    """status, and a body for JSON."""

    status: int
    body: Mapping[str, object]


@dataclass(frozen=True)
class Api:
    """Create, look, stop. Looking and stopping need the launcher's token that creating answered."""

    open_launch: Callable[[LaunchRequest], OpenedLaunch]
    follow: "Follow"
    stop_launch: Callable[[str], None]
    detect_address: Callable[[str], PastedUrl]
    tokens: Tokens
    public_url: str

    def create(self, caller: Caller, body: str) -> Answer:
        """A new launch, or the one that a page with this build token has begun. 201 with its id and the launcher's token.

        Only whoever creates it, or holds its page's token, is told the launcher's token.
        """
        if "application/json" not in caller.header("content-type"):
            raise BadRequest(why="the body has to be JSON, with `Content-Type: application/json`")
        try:
            wanted = Wanted.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise BadRequest(why=f"{where}: {first['msg']}") from None
        own = Own.of(self.public_url, caller.scheme, caller.header("host"), caller.stage)
        opened = self.open_launch(
            LaunchRequest(
                provider=wanted.provider,
                spec=plain_spec(wanted.provider, wanted.spec),
                client=caller.client,
                launch_host=own.address,
                own_origin=own.origin,
                origin=caller.header("origin"),
                site=caller.header("sec-fetch-site"),
                build_token=wanted.build_token,
                build_only=wanted.build_only,
            )
        )
        launch = opened.launch
        told = {"id": launch.id, "launcher_token": self.tokens.launcher_token(launch.id), "phase": launch.stage.value}
        return Answer(HTTPStatus.CREATED, {**told, "address": f"{own.address}api/launches/{launch.id}"})

    def look(self, caller: Caller, launch: str) -> Answer:
        """How the launch stands, with the last lines of its build's log; the session's address and token once ready.

        queue: while its build waits for a slot, how many are to be built first, and the same in words; else null.
        """
        self._check(caller, launch)
        now, tellings = self.follow(launch, StreamCursor())
        before = self.follow.builds_before(now)
        words = "" if before is None else words_of_place(before, self.follow.builds_refused(now)).strip()
        queue = None if before is None else {"builds_before": before, "message": words}
        return Answer(HTTPStatus.OK, {**_about(now), "queue": queue, **self._outcome(now), "log": _log(tellings)})

    def stop(self, caller: Caller, launch: str) -> Answer:
        """Ends the launch or its session. 202: the session goes within seconds."""
        self._check(caller, launch)
        self.stop_launch(launch)
        now, _ = self.follow(launch, StreamCursor())
        return Answer(HTTPStatus.ACCEPTED, _about(now))

    def detect(self, caller: Caller, url: str | None) -> Answer:
        """What a pasted address asks for, and the link that launches it."""
        if not url:
            raise BadRequest(why="the address to look at is missing: /api/detect?url=...")
        own = Own.of(self.public_url, caller.scheme, caller.header("host"), caller.stage)
        return Answer(HTTPStatus.OK, detected(self.detect_address(url), own.address))

    def _check(self, caller: Caller, launch: str) -> None:
        """A launch of somebody else looks exactly like one that does not exist."""
        scheme, _, token = caller.header("authorization").partition(" ")
        if scheme.lower() != "bearer" or not self.tokens.is_launcher(token.strip(), launch):
            raise LaunchNotFound

    def _outcome(self, launch: Launch) -> dict[str, object]:
        match launch.stage:
            case Stage.FAILED:
                return _failed(launch.failure or Failure(kind="StepFailed"))
            case Stage.READY if not launch.build_only:
                session = self.follow.session(launch)
                return _failed(session) if isinstance(session, Failure) else _ready(session)
            case _:
                return {}


def ask_again(error: BinderyError) -> dict[str, str]:
    """A header that says when the same request may do better; none if it will not by itself."""
    if isinstance(error, TooManySessions | TooManyBuilds):
        return {"Retry-After": str(SHARE_SECONDS)}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.facts["seconds"])}
    return {"Retry-After": str(PASSES_SECONDS)} if isinstance(error, Retryable) else {}


def _about(launch: Launch) -> dict[str, object]:
    repository = launch.repository
    return {
        "id": launch.id,
        "provider": launch.provider,
        "spec": launch.spec,
        "phase": launch.stage.value,
        "ref": repository.ref if repository else None,
        "image": launch.image or None,
        "created_at": launch.created_at,
        "deadline": launch.deadline,
    }


def _failed(failure: Failure) -> dict[str, object]:
    shown = error_message(failure)
    return {"phase": "failed", "failure": {"code": shown.code, "message": shown.message, "status": shown.status}}


def _ready(session: Session) -> dict[str, object]:
    return {"url": session.url, "token": session.token, "notes": list(session.notes)}


def _log(tellings: list[StreamEvent]) -> list[str]:
    return [words for telling in tellings if (words := words_of(telling.event).rstrip("\n"))][-LOG_LINES:]
