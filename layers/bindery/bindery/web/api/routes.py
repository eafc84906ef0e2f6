"""Routes of `/api/...`, and the headers of their responses."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.domain.errors import BinderyError
from bindery.web.api.launches import Answer, Api, Caller, ask_again
from bindery.web.api.providers import repo_providers
from bindery.web.body_limit import too_large
from bindery.web.cors import Cors
from bindery.web.errors.render import error_message
from bindery.web.head import answered
from bindery.web.proxies import NO_PROXIES, Proxies
from bindery.web.senders import sender_of

if TYPE_CHECKING:
    from bindery.web.pages.site import Site

ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Cache-Control": "no-store",
}


class ApiRoutes:
    """Resolver of REST API events. site: made at the first request for the providers.

    cors: sites with scripts that may read the responses. proxies: trusted for the client's address.
    """

    def __init__(self, api: Api, site: "Callable[[], Site]", cors: Cors, proxies: Proxies = NO_PROXIES) -> None:
        self._api, self._site, self._cors, self._proxies = api, site, cors, proxies
        self._app = app = APIGatewayRestResolver()
        app.exception_handler(BinderyError)(self._failed)
        app.get("/api/repoproviders")(self._providers)
        app.get("/api/detect")(self._detect)
        app.post("/api/launches")(self._create)
        app.get("/api/launches/<launch>")(self._look)
        app.delete("/api/launches/<launch>")(self._stop)
        app.route("/api/.+", method=["OPTIONS"])(self._preflight)

    def __call__(self, event: dict[str, object], context: LambdaContext) -> dict[str, object]:
        return too_large(event) or answered(event, lambda read: self._app.resolve(read, context))

    def _providers(self) -> Response[str]:
        """Return the description of each provider."""
        return self._json(200, repo_providers(self._site().displays()))

    def _detect(self) -> Response[str]:
        """Return the parts of a pasted address."""
        query = self._app.current_event.query_string_parameters
        return self._answered(self._api.detect(self._caller(), query.get("url")))

    def _create(self) -> Response[str]:
        """Create a launch."""
        return self._answered(self._api.create(self._caller(), self._app.current_event.body or ""))

    def _look(self, launch: str) -> Response[str]:
        """Return the state of the launch."""
        return self._answered(self._api.show(self._caller(), launch))

    def _stop(self, launch: str) -> Response[str]:
        """End the launch."""
        return self._answered(self._api.stop(self._caller(), launch))

    def _preflight(self) -> Response[str]:
        """Return the response to a browser's preflight request."""
        return Response(204, headers=self._headers())

    def _failed(self, error: BinderyError) -> Response[str]:
        """Return the error as JSON."""
        response = error_message(error)
        return self._json(response.status, {"code": response.code, "message": response.message}, **ask_again(error))

    def _answered(self, answer: Answer) -> Response[str]:
        return self._json(answer.status, answer.body)

    def _json(self, status: int, body: Mapping[str, object] | list[dict[str, object]], **more: str) -> Response[str]:
        """Return a JSON response. more: headers."""
        return Response(status, "application/json", json.dumps(body), {**self._headers(), **more})

    def _headers(self) -> dict[str, str]:
        return {**ALLOWED, **self._cors.headers(self._app.current_event.headers.get("origin", ""))}

    def _caller(self) -> Caller:
        event = self._app.current_event
        headers = {name.lower(): value for name, value in event.headers.items()}
        sender = sender_of(event.raw_event, self._proxies)
        return Caller(sender.client, sender.scheme, headers, event.request_context.stage or "")
