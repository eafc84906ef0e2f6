"""Pages, badges, health, versions, metrics: everything that a browser or a monitor only looks at."""

import json

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.domain.errors import BinderyError
from bindery.observability import logged
from bindery.web.assets import asset
from bindery.web.errors import face_of
from bindery.web.metrics import CONTENT_TYPE
from bindery.web.pages import Page, error_page
from bindery.web.requests import Own

app = APIGatewayRestResolver()


def shown(page: Page) -> Response[str]:
    """A page as an answer."""
    return Response(page.status, body=page.body, headers=dict(page.headers))


def told(status: int, body: object) -> Response[str]:
    """JSON."""
    return Response(status, "application/json", json.dumps(body), {"Access-Control-Allow-Origin": "*"})


def headers() -> dict[str, str]:
    """The request's, by names in lower case."""
    return {name.lower(): value for name, value in app.current_event.headers.items()}


def own() -> Own:
    """How the request addresses this Bindery."""
    return system().site.own(headers(), app.current_event.request_context.stage or "")


@app.exception_handler(BinderyError)  # type: ignore[untyped-decorator]  # Powertools leaves it untyped
def refused(error: BinderyError) -> Response[str]:
    """The error's face, as a page."""
    face = face_of(error)
    return shown(error_page(face.status, "This link leads nowhere", face.message, root=own().root))


@app.get("/")
def home() -> Response[str]:
    """The form that makes links."""
    return shown(system().site.home(own()))


@app.get("/v2/doi/.+")
def doi() -> Response[str]:
    """From a DOI to the launch page of its record."""
    event = app.current_event
    client = event.request_context.identity.source_ip or ""
    location = own().root + system().site.doi_redirect(event.path, event.query_string_parameters or {}, client)
    return Response(302, headers={"Location": location, "Cache-Control": "no-store"})


@app.get("/v2/.+")
def launch() -> Response[str]:
    """A launch page with its build token."""
    event = app.current_event
    site, client = headers().get("sec-fetch-site", ""), event.request_context.identity.source_ip or ""
    return shown(system().site.launch(event.path, event.query_string_parameters or {}, own(), site, client))


@app.get("/repo/.+")
def repo() -> Response[str]:
    """The oldest kind of link."""
    return Response(302, headers={"Location": own().root + system().site.repo_redirect(app.current_event.path)})


@app.get("/sessions/.+")
def again() -> Response[str]:
    """From the address of a session that is over to the launch page that it came from."""
    location = own().root + system().site.again(app.current_event.path)
    return Response(302, headers={"Location": location, "Cache-Control": "no-store"})


@app.get("/(assets/.+|badge.svg|badge_logo.svg)")
def file() -> Response[str]:
    """Badges, and what pages need."""
    found = asset(app.current_event.path.removeprefix("/assets/").removeprefix("/"))
    if found is None:
        return told(404, {"message": "There is no such file."})
    return Response(200, found.content_type, found.body.decode(), {"Cache-Control": "no-cache"})


@app.get("/health")
def health() -> Response[str]:
    """For monitors."""
    return told(*system().site.health())


@app.get("/versions")
def versions() -> Response[str]:
    """What runs here."""
    return told(200, system().site.versions())


@app.get("/metrics")
def metrics() -> Response[str]:
    """For Prometheus."""
    return Response(200, CONTENT_TYPE, system().site.metrics())


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """One request."""
    return app.resolve(event, context)
