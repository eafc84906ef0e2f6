"""The API for people who script: create a launch, look at it, stop it; what the providers look like, and what an address asks for."""

import json
from collections.abc import Mapping

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.domain.errors import BinderyError
from bindery.observability import logged
from bindery.web.api import Caller, ask_again
from bindery.web.errors import face_of
from bindery.web.repo_providers import repo_providers

app = APIGatewayRestResolver()
ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Cache-Control": "no-store",
}


def allowed() -> dict[str, str]:
    """Headers of every answer."""
    origin = system().settings.cors_allow_origin
    return {**ALLOWED, **({"Access-Control-Allow-Origin": origin} if origin else {})}


def told(status: int, body: Mapping[str, object] | list[dict[str, object]], **more: str) -> Response[str]:
    """JSON. more: headers."""
    return Response(status, "application/json", json.dumps(body), {**allowed(), **more})


def caller() -> Caller:
    """Who asks."""
    event = app.current_event
    headers = {name.lower(): value for name, value in event.headers.items()}
    context = event.request_context
    scheme = headers.get("x-forwarded-proto", "http")
    return Caller(context.identity.source_ip or "", scheme, headers, context.stage or "")


@app.exception_handler(BinderyError)  # type: ignore[untyped-decorator]  # Powertools leaves it untyped
def failed(error: BinderyError) -> Response[str]:
    """The error's face, as JSON."""
    shown = face_of(error)
    return told(shown.status, {"code": shown.code, "message": shown.message}, **ask_again(error))


@app.get("/api/repoproviders")
def providers() -> Response[str]:
    """What forms and clients want to know of each provider."""
    return told(200, repo_providers(system().site.displays()))


@app.get("/api/detect")
def detect() -> Response[str]:
    """What a pasted address asks for."""
    answer = system().api.detect(caller(), app.current_event.query_string_parameters.get("url"))
    return told(answer.status, answer.body)


@app.post("/api/launches")
def create() -> Response[str]:
    """A new launch."""
    answer = system().api.create(caller(), app.current_event.body or "")
    return told(answer.status, answer.body)


@app.get("/api/launches/<launch>")
def look(launch: str) -> Response[str]:
    """How it stands."""
    answer = system().api.look(caller(), launch)
    return told(answer.status, answer.body)


@app.delete("/api/launches/<launch>")
def stop(launch: str) -> Response[str]:
    """Ends it."""
    answer = system().api.stop(caller(), launch)
    return told(answer.status, answer.body)


@app.route("/api/.+", method=["OPTIONS"])
def preflight() -> Response[str]:
    """For browsers."""
    return Response(204, headers=allowed())


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """One request."""
    return app.resolve(event, context)
