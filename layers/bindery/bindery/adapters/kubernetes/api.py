"""Client for the objects of one namespace of a Kubernetes cluster. It converts the cluster's errors to Bindery's."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from bindery.adapters.kubernetes.access import RETRIES, Access, Entry
from bindery.adapters.kubernetes.api_errors import UNKNOWN, reason, refusal
from bindery.domain.errors import BinderyError, ClusterRefused, LauncherDown
from bindery.lambda_support.logging import alarm

Body = dict[str, Any]
PAGE = 500
NOT_ANSWERING = "the cluster's API server does not answer"
NO_CLUSTER = "what answers there is no cluster's API server"
BROKEN_OFF = "the cluster broke off what it was telling"
SERVICE, SECRET, POD, ROUTE, NAMESPACE, GATEWAY = "Service", "Secret", "Pod", "HTTPRoute", "Namespace", "Gateway"
CORE, GATEWAYS = "/api/v1", "/apis/gateway.networking.k8s.io/v1"
KINDS: Mapping[str, tuple[str, str]] = {
    SERVICE: (CORE, "services"),
    SECRET: (CORE, "secrets"),
    POD: (CORE, "pods"),
    NAMESPACE: (CORE, "namespaces"),
    ROUTE: (GATEWAYS, "httproutes"),
    GATEWAY: (GATEWAYS, "gateways"),
}


TIMEOUTS = (3.0, 10.0)  # seconds to connect, and between two bytes


@dataclass(frozen=True)
class Request:
    """Request to the API server. path: from the server's root. watched: seconds to stream the response; 0: read it at once."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    watched: float = 0

    def send(self, entry: Entry) -> BaseHTTPResponse:
        """Send the request and return the response, of any status. Raises urllib3's HTTPError."""
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "bindery"}
        if entry.authorization:
            headers["Authorization"] = entry.authorization
        connecting, reading = TIMEOUTS
        return entry.pool.request(
            self.method,
            f"{entry.address}{self.path}" + (f"?{urlencode(self.query)}" if self.query else ""),
            body=json.dumps(self.body) if self.body else None,
            headers=headers,
            timeout=Timeout(connect=connecting, read=self.watched + 1 if self.watched else reading),
            retries=RETRIES,
            redirect=False,
            preload_content=not self.watched,
        )


class _Refused(Exception):
    """Error for a response with a status other than 2xx."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Cluster:
    """Client for one namespace of a cluster. Every call may raise LauncherDown, and for a refusal the error from `refusal`.

    Connections are reused. After refused credentials, the client gets new ones and retries once; a second refusal raises
    ClusterRefused and alarms the operator. If the cluster does not respond, its address is looked up again, because it may have moved.
    """

    def __init__(self, access: Access, namespace: str) -> None:
        self.namespace = namespace
        self.address = access.name
        self._access = access

    def create(self, body: Body) -> Body | None:
        """Create an object and return it; None if an object of that name exists."""
        with _errors():
            try:
                return self._request("POST", body["kind"], body=body)
            except _Refused as refused:
                if refused.status == 409 and reason(refused.body) == "AlreadyExists":
                    return None
                raise

    def delete(self, kind: str, name: str) -> None:
        """Delete an object. A missing object is no error. The cluster deletes the objects that it owns soon after."""
        with _errors():
            try:
                self._request("DELETE", kind, name, query={"propagationPolicy": "Background"})
            except _Refused as refused:
                if refused.status != 404:
                    raise

    def get(self, kind: str, name: str) -> Body | None:
        """Return the object; None if it is missing."""
        with _errors():
            try:
                return self._request("GET", kind, name)
            except _Refused as refused:
                if refused.status != 404:
                    raise
                return None

    def find(self, kind: str, name: str) -> Body | None:
        """Return the object; None if it is missing. Needs only the permission to list."""
        return self.get_with_version(kind, name)[0]

    def get_with_version(self, kind: str, name: str) -> tuple[Body | None, str]:
        """Return the object (None if it is missing) and the version to watch from."""
        objects, version = self.now(kind, fieldSelector=f"metadata.name={name}")
        return next(iter(objects), None), version

    def now(self, kind: str, **selector: str) -> tuple[list[Body], str]:
        """Return the few objects that match a selector, and the version to watch from."""
        page = self._list(kind, selector)
        return page["items"], page["metadata"]["resourceVersion"]

    def each(self, kind: str, labels: str) -> Iterator[Body]:
        """Yield all objects of a kind with these labels, read in pages."""
        query = {"labelSelector": labels, "limit": str(PAGE)}
        page = self._list(kind, query)
        yield from page["items"]
        while more := page["metadata"].get("continue"):
            page = self._list(kind, {**query, "continue": more})
            yield from page["items"]

    def watch(self, kind: str, name: str, version: str, seconds: float) -> "Watching":
        """Watch an object's changes after `version`, for at most `seconds`. The caller must close the result."""
        query = {
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(seconds))),
            "watch": "true",
        }
        with _errors():
            return Watching(self._send(Request("GET", self._path(kind), query, watched=seconds)))

    def close(self) -> None:
        """Close the idle connections."""
        self._access.close()

    def _list(self, kind: str, query: Mapping[str, str]) -> Body:
        with _errors():
            page = self._request("GET", kind, query=query)
            if not {"items", "metadata"} <= page.keys():
                raise LauncherDown(why=NO_CLUSTER)
            return page

    def _request(
        self,
        method: str,
        kind: str,
        name: str = "",
        *,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Body:
        answer = self._send(Request(method, self._path(kind, name), query or {}, body))
        try:
            return dict(json.loads(answer.data))
        except (ValueError, TypeError) as error:
            raise LauncherDown(why=NO_CLUSTER) from error

    def _path(self, kind: str, name: str = "") -> str:
        group, plural = KINDS[kind]
        within = "" if kind == NAMESPACE else f"/namespaces/{self.namespace}"
        return f"{group}{within}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def _send(self, request: Request) -> BaseHTTPResponse:
        """Send a request and return the 2xx response. Retry once with new credentials after a 401. Raises _Refused."""
        entry, answer = self._send_to_current(request)
        if answer.status == UNKNOWN and self._access.renewed(entry):
            answer.drain_conn()
            answer = request.send(self._access.entry())
        if not 200 <= answer.status < 300:
            raise _Refused(answer.status, answer.data)
        return answer

    def _send_to_current(self, request: Request) -> tuple[Entry, BaseHTTPResponse]:
        """Send a request, and retry once if the cluster has moved. Return the used entry and the response."""
        entry = self._access.entry()
        try:
            return entry, request.send(entry)
        except HTTPError:
            if not self._access.moved(entry):
                raise
        entry = self._access.entry()
        return entry, request.send(entry)


class Watching:
    """Event stream of a watch, to iterate once: (type, object). Raises LauncherDown if the cluster ends it with an error."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # urllib3's response, which the untyped client passes on
        self._answer = answer
        self._closed = False

    def __iter__(self) -> Iterator[tuple[str, Body]]:
        try:
            with _errors():
                yield from self._events()
        # Reading from a closed response raises one of these errors.
        except (BinderyError, AttributeError, ValueError, TypeError, KeyError) as error:
            if not self._closed:
                raise LauncherDown(why=BROKEN_OFF) from error

    def _events(self) -> Iterator[tuple[str, Body]]:
        rest = b""
        for piece in self._answer.stream(amt=None, decode_content=False):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise LauncherDown(why=BROKEN_OFF)
                yield event["type"], event["object"]

    def close(self) -> None:
        """Close the stream. A call from another thread ends the iteration."""
        self._closed = True
        with suppress(RuntimeError, ValueError, OSError):  # the stream has already ended
            self._answer.shutdown()
        self._answer.close()


@contextmanager
def _errors() -> Iterator[None]:
    try:
        with _facts():
            yield
    except ClusterRefused as refused:
        alarm("ClusterRefused", f"no way into the cluster: {refused.facts['why']}")
        raise


@contextmanager
def _facts() -> Iterator[None]:
    try:
        yield
    except _Refused as refused:
        raise refusal(refused.status, refused.body) from refused
    except (HTTPError, OSError) as error:
        raise LauncherDown(why=NOT_ANSWERING) from error
