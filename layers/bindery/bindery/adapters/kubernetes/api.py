"""Objects of one namespace of a Kubernetes cluster: made, listed, watched and deleted, with the cluster's answers as our errors."""

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
    """path: from the server's root. watched: for so many seconds the answer is to be read as it comes; 0: all of it at once."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    watched: float = 0

    def send(self, entry: Entry) -> BaseHTTPResponse:
        """The answer, whatever it is. Raises urllib3's HTTPError."""
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
    """An answer that is none of 2xx."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Cluster:
    """One namespace. Every call may raise LauncherDown, and what `refusal` makes of a refused one.

    Connections are kept for the next call. Credentials that are refused are asked for once more; what is refused then is
    ClusterRefused, which its operator hears of. A cluster that does not answer is looked for, in case it has moved.
    """

    def __init__(self, access: Access, namespace: str) -> None:
        self.namespace = namespace
        self.address = access.name
        self._access = access

    def create(self, body: Body) -> Body | None:
        """The object as it was made; None if there is one of that name."""
        with _errors():
            try:
                return self._told("POST", body["kind"], body=body)
            except _Refused as refused:
                if refused.status == 409 and reason(refused.body) == "AlreadyExists":
                    return None
                raise

    def delete(self, kind: str, name: str) -> None:
        """One that is not there is no error. What it owns goes soon after."""
        with _errors():
            try:
                self._told("DELETE", kind, name, query={"propagationPolicy": "Background"})
            except _Refused as refused:
                if refused.status != 404:
                    raise

    def get(self, kind: str, name: str) -> Body | None:
        """The object, or None."""
        with _errors():
            try:
                return self._told("GET", kind, name)
            except _Refused as refused:
                if refused.status != 404:
                    raise
                return None

    def find(self, kind: str, name: str) -> Body | None:
        """The same for whoever may only list."""
        return self.look(kind, name)[0]

    def look(self, kind: str, name: str) -> tuple[Body | None, str]:
        """The object, or None, and the version to watch from."""
        found, version = self.now(kind, fieldSelector=f"metadata.name={name}")
        return next(iter(found), None), version

    def now(self, kind: str, **selector: str) -> tuple[list[Body], str]:
        """The few objects that a selector leaves, and the version to watch from."""
        told = self._list(kind, selector)
        return told["items"], told["metadata"]["resourceVersion"]

    def each(self, kind: str, labels: str) -> Iterator[Body]:
        """All of a kind with these labels, read in pages."""
        query = {"labelSelector": labels, "limit": str(PAGE)}
        told = self._list(kind, query)
        yield from told["items"]
        while more := told["metadata"].get("continue"):
            told = self._list(kind, {**query, "continue": more})
            yield from told["items"]

    def watch(self, kind: str, name: str, version: str, seconds: float) -> "Watching":
        """What becomes of an object after `version`, for `seconds` at most. Close it."""
        query = {
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(seconds))),
            "watch": "true",
        }
        with _errors():
            return Watching(self._asked(Request("GET", self._path(kind), query, watched=seconds)))

    def close(self) -> None:
        """Closes the idle connections."""
        self._access.close()

    def _list(self, kind: str, query: Mapping[str, str]) -> Body:
        with _errors():
            told = self._told("GET", kind, query=query)
            if not {"items", "metadata"} <= told.keys():
                raise LauncherDown(why=NO_CLUSTER)
            return told

    def _told(
        self,
        method: str,
        kind: str,
        name: str = "",
        *,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Body:
        answer = self._asked(Request(method, self._path(kind, name), query or {}, body))
        try:
            return dict(json.loads(answer.data))
        except (ValueError, TypeError) as error:
            raise LauncherDown(why=NO_CLUSTER) from error

    def _path(self, kind: str, name: str = "") -> str:
        group, plural = KINDS[kind]
        within = "" if kind == NAMESPACE else f"/namespaces/{self.namespace}"
        return f"{group}{within}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def _asked(self, request: Request) -> BaseHTTPResponse:
        """The answer, 2xx. Raises _Refused."""
        entry, answer = self._sent(request)
        if answer.status == UNKNOWN and self._access.renewed(entry):
            answer.drain_conn()
            answer = request.send(self._access.entry())
        if not 200 <= answer.status < 300:
            raise _Refused(answer.status, answer.data)
        return answer

    def _sent(self, request: Request) -> tuple[Entry, BaseHTTPResponse]:
        """By which entry, too. One that leads to nobody is given up for where the cluster is now, if that is elsewhere."""
        entry = self._access.entry()
        try:
            return entry, request.send(entry)
        except HTTPError:
            if not self._access.moved(entry):
                raise
        entry = self._access.entry()
        return entry, request.send(entry)


class Watching:
    """Iterated once: (type, object) as the cluster tells them. Raises LauncherDown when the cluster breaks it off in trouble."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # urllib3's response, as the untyped client passes it on
        self._answer = answer
        self._closed = False

    def __iter__(self) -> Iterator[tuple[str, Body]]:
        try:
            with _errors():
                yield from self._told()
        # A response that is closed while it is read fails in any of these ways.
        except (BinderyError, AttributeError, ValueError, TypeError, KeyError) as error:
            if not self._closed:
                raise LauncherDown(why=BROKEN_OFF) from error

    def _told(self) -> Iterator[tuple[str, Body]]:
        rest = b""
        for piece in self._answer.stream(amt=None, decode_content=False):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if told["type"] == "ERROR":
                    raise LauncherDown(why=BROKEN_OFF)
                yield told["type"], told["object"]

    def close(self) -> None:
        """Also from another thread, which ends the iteration."""
        self._closed = True
        with suppress(RuntimeError, ValueError, OSError):  # it has ended by itself
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
