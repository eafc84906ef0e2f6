"""`/api/launches`: launches for API clients, as an alternative to the event stream."""

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
from bindery.web.base_url import Own
from bindery.web.errors.render import error_message
from bindery.web.stream.payloads import words_of
from bindery.web.stream.queue_position import words_of_place

if TYPE_CHECKING:
    from bindery.web.stream.app import Follow

LOG_LINES = 100
PASSES_SECONDS = 5
SHARE_SECONDS = 60
"""Seconds until a client at its limit should try again: a session or a build of its own has to end first."""


class Wanted(BaseModel):
    """Body of `POST /api/launches`. spec: percent-encoded as in a link. build_token: a launch page's, for that page's launch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    provider: str
    spec: str
    build_only: bool = False
    build_token: str = ""


@dataclass(frozen=True)
class Caller:
    """Sender of an API request: address, scheme and headers (`Authorization`, and a browser's `Origin` and `Sec-Fetch-Site`).

    stage: API Gateway's.
    """

    client: str
    scheme: str
    headers: Mapping[str, str]
    stage: str = ""

    def header(self, name: str) -> str:
        """Return a header by its lower-case name; empty if absent."""
        return self.headers.get(name, "")


@dataclass(frozen=True)
class Answer:
    """Status of a response, and its body for JSON."""

    status: int
    body: Mapping[str, object]


@dataclass(frozen=True)
class Api:
    """Handlers that create, show and stop launches. Showing and stopping need the launcher's token from the response of creating."""

    open_launch: Callable[[LaunchRequest], OpenedLaunch]
    follow: "Follow"
    stop_launch: Callable[[str], None]
    detect_address: Callable[[str], PastedUrl]
    tokens: Tokens
    public_url: str

    def create(self, caller: Caller, body: str) -> Answer:
        """Create a launch, or return the launch that a page with this build token has begun. 201 with its id and the launcher's
        token.

        Only the client that creates it, or holds its page's token, gets the launcher's token.
        """
        if "application/json" not in caller.header("content-type"):
            raise BadRequest(why="the body has to be JSON, with `Content-Type: application/json`")
        try:
            fields = Wanted.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise BadRequest(why=f"{where}: {first['msg']}") from None
        own = Own.of(self.public_url, caller.scheme, caller.header("host"), caller.stage)
        opened = self.open_launch(
            LaunchRequest(
                provider=fields.provider,
                spec=plain_spec(fields.provider, fields.spec),
                client=caller.client,
                launch_host=own.address,
                own_origin=own.origin,
                origin=caller.header("origin"),
                site=caller.header("sec-fetch-site"),
                build_token=fields.build_token,
                build_only=fields.build_only,
            )
        )
        launch = opened.launch
        created = {
            "id": launch.id,
            "launcher_token": self.tokens.launcher_token(launch.id),
            "phase": launch.stage.value,
        }
        return Answer(HTTPStatus.CREATED, {**created, "address": f"{own.address}api/launches/{launch.id}"})

    def show(self, caller: Caller, launch: str) -> Answer:
        """Return the state of the launch, with the last lines of its build's log; the session's address and token once ready.

        queue: while its build waits for a slot, the number of builds before it, and the same in words; else null.
        """
        self._check(caller, launch)
        record, news = self.follow(launch, StreamCursor())
        before = self.follow.builds_before(record)
        words = "" if before is None else words_of_place(before, self.follow.builds_refused(record)).strip()
        queue = None if before is None else {"builds_before": before, "message": words}
        return Answer(HTTPStatus.OK, {**_about(record), "queue": queue, **self._outcome(record), "log": _log(news)})

    def stop(self, caller: Caller, launch: str) -> Answer:
        """End the launch or its session. 202: the session goes within seconds."""
        self._check(caller, launch)
        self.stop_launch(launch)
        record, _ = self.follow(launch, StreamCursor())
        return Answer(HTTPStatus.ACCEPTED, _about(record))

    def detect(self, caller: Caller, url: str | None) -> Answer:
        """Return the parts of a pasted address, and the link that launches it."""
        from bindery.web.api.detect import detected  # imported here: few requests need it

        if not url:
            raise BadRequest(why="the address to look at is missing: /api/detect?url=...")
        own = Own.of(self.public_url, caller.scheme, caller.header("host"), caller.stage)
        return Answer(HTTPStatus.OK, detected(self.detect_address(url), own.address))

    def _check(self, caller: Caller, launch: str) -> None:
        """Raise LaunchNotFound if the token is not the launch's: a launch of another client looks like a launch that does not exist."""
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
    """Return a `Retry-After` header if the same request may succeed later; no header if it will not."""
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
    error = error_message(failure)
    return {"phase": "failed", "failure": {"code": error.code, "message": error.message, "status": error.status}}


def _ready(session: Session) -> dict[str, object]:
    return {"url": session.url, "token": session.token, "notes": list(session.notes)}


def _log(news: list[StreamEvent]) -> list[str]:
    return [words for item in news if (words := words_of(item.event).rstrip("\n"))][-LOG_LINES:]
