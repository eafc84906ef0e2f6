"""Pages, badges and what monitors read, by their routes."""

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
    """Answers a REST API's event. proxies: whose word counts on who the client is."""

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
        """The form that makes links."""
        return _shown(self._site.home(self._own()))

    def _doi(self) -> Response[str]:
        """From a DOI to the launch page of its record."""
        event = self._app.current_event
        leads = self._site.doi_redirect(event.path, event.query_string_parameters or {}, self._client())
        return _moved(self._own().root + leads)

    def _launch(self) -> Response[str]:
        """A launch page with its build token."""
        event, site = self._app.current_event, self._headers().get("sec-fetch-site", "")
        query = event.query_string_parameters or {}
        return _shown(self._site.launch(event.path, query, self._own(), site, self._client()))

    def _repo(self) -> Response[str]:
        """The oldest kind of link."""
        location = self._own().root + self._site.repo_redirect(self._app.current_event.path)
        return Response(302, headers={"Location": location})

    def _again(self) -> Response[str]:
        """From the address of a session that is over to the launch page that it came from."""
        return _moved(self._own().root + self._site.again(self._app.current_event.path))

    def _file(self) -> Response[str]:
        """Badges, and what pages need."""
        found = asset(self._app.current_event.path.removeprefix("/assets/").removeprefix("/"))
        if found is None:
            return _told(404, {"message": "There is no such file."})
        return Response(200, found.content_type, found.body.decode(), {"Cache-Control": found.cache_control})

    def _health(self) -> Response[str]:
        """For monitors."""
        return _told(*self._site.health())

    def _versions(self) -> Response[str]:
        """What runs here."""
        return _told(200, self._site.versions())

    def _metrics(self) -> Response[str]:
        """For Prometheus."""
        text = self._site.metrics(self._client(), self._headers().get("authorization", ""))
        return Response(200, METRICS_TYPE, text, {"Cache-Control": "no-store"})

    def _refused(self, error: BinderyError) -> Response[str]:
        """Return the error as a page."""
        shown = error_message(error)
        return _shown(error_page(shown.status, _heading(shown.status), shown.message, root=self._own().root))

    def _headers(self) -> dict[str, str]:
        """The request's, by names in lower case."""
        return {name.lower(): value for name, value in self._app.current_event.headers.items()}

    def _client(self) -> str:
        """The address that the request came from."""
        return sender_of(self._app.current_event.raw_event, self._proxies).client

    def _own(self) -> Own:
        """How the request addresses this Bindery."""
        event = self._app.current_event
        scheme = sender_of(event.raw_event, self._proxies).scheme
        return self._site.own(scheme, self._headers(), event.request_context.stage or "")


def _heading(status: int) -> str:
    """True of a link that is wrong, of one whose record is gone, and of one whose host has to be asked again later."""
    return "This link cannot be followed just now" if status in PASSING else "This link cannot be followed"


def _shown(page: Page) -> Response[str]:
    """A page as an answer."""
    return Response(page.status, body=page.body, headers=dict(page.headers))


def _told(status: int, body: object) -> Response[str]:
    """JSON."""
    return Response(status, "application/json", json.dumps(body), {"Access-Control-Allow-Origin": "*"})


def _moved(location: str) -> Response[str]:
    """To where it leads now."""
    return Response(302, headers={"Location": location, "Cache-Control": "no-store"})
