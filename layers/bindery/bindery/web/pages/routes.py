"""Routes of pages, badges and monitoring."""

import json

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.domain.errors import BinderyError
from bindery.web.base_url import Own
from bindery.web.body_limit import too_large
from bindery.web.errors.render import error_message
from bindery.web.head import answered
from bindery.web.pages.assets import asset
from bindery.web.pages.render import Page, error_page
from bindery.web.pages.site import Site
from bindery.web.proxies import NO_PROXIES, Proxies
from bindery.web.senders import sender_of

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PASSING = frozenset({429, 502, 503, 504})


class SiteRoutes:
    """Resolver of REST API events. proxies: trusted for the client's address."""

    def __init__(self, site: Site, proxies: Proxies = NO_PROXIES) -> None:
        self._site, self._proxies = site, proxies
        self._app = app = APIGatewayRestResolver()
        app.exception_handler(BinderyError)(self._refused)
        app.get("/")(self._home)
        app.get("/v2/doi/.+")(self._doi)
        app.get("/v2/.+")(self._launch)
        app.get("/repo/.+")(self._repo)
        app.get("/sessions/.+")(self._again)
        app.get("/(assets/.+|badge.svg|badge_logo.svg)")(self._file)
        app.get("/health")(self._health)
        app.get("/versions")(self._versions)
        app.get("/metrics")(self._metrics)

    def __call__(self, event: dict[str, object], context: LambdaContext) -> dict[str, object]:
        return too_large(event) or answered(event, lambda read: self._app.resolve(read, context))

    def _home(self) -> Response[str]:
        """Return the start page with the form that makes links."""
        return _html(self._site.home(self._own()))

    def _doi(self) -> Response[str]:
        """Redirect a DOI to the launch page of its record."""
        event = self._app.current_event
        location = self._site.doi_redirect(event.path, event.query_string_parameters or {}, self._client())
        return _moved(self._own().root + location)

    def _launch(self) -> Response[str]:
        """Return a launch page with its build token."""
        event, site = self._app.current_event, self._headers().get("sec-fetch-site", "")
        query = event.query_string_parameters or {}
        return _html(self._site.launch(event.path, query, self._own(), site, self._client()))

    def _repo(self) -> Response[str]:
        """Redirect a link of the oldest kind."""
        location = self._own().root + self._site.repo_redirect(self._app.current_event.path)
        return Response(302, headers={"Location": location})

    def _again(self) -> Response[str]:
        """Redirect the address of an ended session to its launch page."""
        return _moved(self._own().root + self._site.again(self._app.current_event.path))

    def _file(self) -> Response[str]:
        """Return a badge, or a file for pages."""
        file = asset(self._app.current_event.path.removeprefix("/assets/").removeprefix("/"))
        if file is None:
            return _json(404, {"message": "There is no such file."})
        return Response(200, file.content_type, file.body.decode(), {"Cache-Control": file.cache_control})

    def _health(self) -> Response[str]:
        """Return the health of the services, for monitors."""
        return _json(*self._site.health())

    def _versions(self) -> Response[str]:
        """Return the versions of this Bindery."""
        return _json(200, self._site.versions())

    def _metrics(self) -> Response[str]:
        """Return the text for Prometheus."""
        text = self._site.metrics(self._client(), self._headers().get("authorization", ""))
        return Response(200, METRICS_TYPE, text, {"Cache-Control": "no-store"})

    def _refused(self, error: BinderyError) -> Response[str]:
        """Return the error as a page."""
        response = error_message(error)
        return _html(error_page(response.status, _heading(response.status), response.message, root=self._own().root))

    def _headers(self) -> dict[str, str]:
        """Return the request's headers by lower-case names."""
        return {name.lower(): value for name, value in self._app.current_event.headers.items()}

    def _client(self) -> str:
        """Return the client's address."""
        return sender_of(self._app.current_event.raw_event, self._proxies).client

    def _own(self) -> Own:
        """Return this Bindery's address, as used in the request."""
        event = self._app.current_event
        scheme = sender_of(event.raw_event, self._proxies).scheme
        return self._site.own(scheme, self._headers(), event.request_context.stage or "")


def _heading(status: int) -> str:
    """Return a heading that fits a malformed link, a link to a deleted record, or a link to a host that has to be asked again later."""
    return "This link cannot be followed just now" if status in PASSING else "This link cannot be followed"


def _html(page: Page) -> Response[str]:
    """Return a page as a response."""
    return Response(page.status, body=page.body, headers=dict(page.headers))


def _json(status: int, body: object) -> Response[str]:
    """Return a JSON response."""
    return Response(status, "application/json", json.dumps(body), {"Access-Control-Allow-Origin": "*"})


def _moved(location: str) -> Response[str]:
    """Return a redirect to the location."""
    return Response(302, headers={"Location": location, "Cache-Control": "no-store"})
