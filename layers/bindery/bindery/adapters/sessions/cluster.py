"""Objects of one namespace of a Kubernetes cluster: made, listed, watched and deleted, with the cluster's answers as our errors.

On the dynamic client, which imports four times faster than the typed one (1.2 s on a small machine), and told which kinds
there are, so that nothing has to be discovered on the click's way.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any, Self

from kubernetes.client import ApiClient
from kubernetes.dynamic import DynamicClient, Resource
from kubernetes.dynamic.exceptions import DynamicApiError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as TooSlow
from urllib3.util import Retry

from bindery.adapters.sessions.refusals import refusal
from bindery.domain.errors import BinderyError, LauncherDown

Body = dict[str, Any]
PAGE = 500
TIMEOUTS = (3.0, 10.0)  # seconds to connect, and between two bytes
NOT_ANSWERING = "the cluster's API server does not answer"
NO_CLUSTER = "what answers there is no cluster's API server"
BROKEN_OFF = "the cluster broke off what it was telling"
SERVICE, SECRET, POD, ROUTE, NAMESPACE, GATEWAY = "Service", "Secret", "Pod", "HTTPRoute", "Namespace", "Gateway"
KINDS: Mapping[str, tuple[str, str, str]] = {
    SERVICE: ("", "v1", "services"),
    SECRET: ("", "v1", "secrets"),
    POD: ("", "v1", "pods"),
    NAMESPACE: ("", "v1", "namespaces"),
    ROUTE: ("gateway.networking.k8s.io", "v1", "httproutes"),
    GATEWAY: ("gateway.networking.k8s.io", "v1", "gateways"),
}


class _AtOnce(Retry):
    """A kept connection that had ended makes room for a new one, whatever was asked: nothing here does harm twice.

    Who is slow, or asks us to come back in an hour, is not asked again: the queue does that.
    """

    def increment(self, method: str | None = None, url: str | None = None, *rest: Any, **more: Any) -> Self:  # noqa: ANN401
        error = more.get("error")
        if isinstance(error, TooSlow):
            raise error
        return super().increment(method, url, *rest, **more)


RETRIES = _AtOnce(1, redirect=0, status=0, other=0, respect_retry_after_header=False, allowed_methods=None)


class Cluster:
    """One namespace. Every call may raise LauncherDown, and what `refusal` makes of a refused one.

    client: made by a function of `credentials`; connections are kept for the next call.
    """

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self.address = str(client.configuration.host)
        self._client = client
        client.rest_client.pool_manager.connection_pool_kw["retries"] = RETRIES
        dynamic = DynamicClient(client, discoverer=_Known)
        self._kinds = {kind: _resource(kind, dynamic) for kind in KINDS}

    def create(self, body: Body) -> Body | None:
        """The object as it was made; None if there is one of that name."""
        kind = self._kinds[body["kind"]]
        with _errors():
            try:
                return self._read(kind.create, body=body, namespace=self.namespace)
            except DynamicApiError as error:
                if error.status == 409 and _reason(error) == "AlreadyExists":
                    return None
                raise

    def delete(self, kind: str, name: str) -> None:
        """One that is not there is no error. What it owns goes soon after."""
        with _errors():
            try:
                self._read(
                    self._kinds[kind].delete, name=name, namespace=self.namespace, propagation_policy="Background"
                )
            except DynamicApiError as error:
                if error.status != 404:
                    raise

    def get(self, kind: str, name: str) -> Body | None:
        """The object, or None."""
        namespace = None if kind == NAMESPACE else self.namespace
        with _errors():
            try:
                return self._read(self._kinds[kind].get, name=name, namespace=namespace)
            except DynamicApiError as error:
                if error.status != 404:
                    raise
                return None

    def find(self, kind: str, name: str) -> Body | None:
        """The same for whoever may only list."""
        return self.look(kind, name)[0]

    def look(self, kind: str, name: str) -> tuple[Body | None, str]:
        """The object, or None, and the version to watch from."""
        told = self._list(kind, field_selector=f"metadata.name={name}")
        return next(iter(told["items"]), None), told["metadata"]["resourceVersion"]

    def each(self, kind: str, labels: str) -> Iterator[Body]:
        """All of a kind with these labels, read in pages."""
        told = self._list(kind, label_selector=labels, limit=PAGE)
        yield from told["items"]
        while more := told["metadata"].get("continue"):
            told = self._list(kind, label_selector=labels, limit=PAGE, _continue=more)
            yield from told["items"]

    def watch(self, kind: str, name: str, version: str, seconds: float) -> "Watching":
        """What becomes of an object after `version`, for `seconds` at most. Close it."""
        with _errors():
            answer = self._kinds[kind].get(
                namespace=self.namespace,
                field_selector=f"metadata.name={name}",
                resource_version=version,
                watch=True,
                timeout_seconds=max(1, round(seconds)),
                serialize=False,
                _request_timeout=(TIMEOUTS[0], seconds + 1),
            )
        return Watching(answer)

    def close(self) -> None:
        """Closes the idle connections."""
        self._client.rest_client.pool_manager.clear()

    def _list(self, kind: str, **query: object) -> Body:
        with _errors():
            told = self._read(self._kinds[kind].get, namespace=self.namespace, **query)
            if not {"items", "metadata"} <= told.keys():
                raise LauncherDown(why=NO_CLUSTER)
            return told

    @staticmethod
    def _read(call: Callable[..., Any], **given: object) -> Body:
        answer = call(**given, serialize=False, _request_timeout=TIMEOUTS)
        with closing(answer):
            said = answer.data
        try:
            return dict(json.loads(said))
        except (ValueError, TypeError) as error:
            raise LauncherDown(why=NO_CLUSTER) from error


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


class _Known:
    """In place of the client's discovery."""

    def __init__(self, _client: DynamicClient, _cache_file: str | None) -> None: ...


def _resource(kind: str, client: DynamicClient) -> Resource:
    group, version, plural = KINDS[kind]
    return Resource(
        prefix="apis" if group else "api",
        group=group,
        api_version=version,
        kind=kind,
        namespaced=kind != NAMESPACE,
        name=plural,
        client=client,
    )


def _reason(error: DynamicApiError) -> str:
    try:
        return str(json.loads(error.body or "")["reason"])
    except (TypeError, ValueError, KeyError):
        return ""


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except DynamicApiError as error:
        raise refusal(error.status, error.body) from error
    except (HTTPError, OSError) as error:
        raise LauncherDown(why=NOT_ANSWERING) from error
