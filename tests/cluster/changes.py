"""What a test changes on its cluster, as an operator would, and how it was is how it becomes again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.shipped import Shipped
from tests.serving.lab import until


@contextmanager
def tainted(shipped: Shipped) -> Iterator[None]:
    """Its only node is for others."""
    shipped.kubectl("taint", "node", "localhost", "pool=staff:NoSchedule", "--overwrite")
    try:
        yield
    finally:
        shipped.kubectl("taint", "node", "localhost", "pool-")


@contextmanager
def without_ceilings(shipped: Shipped) -> Iterator[None]:
    """No LimitRange."""
    with _changed(shipped, "limitrange/sessions", "/spec/limits", []):
        yield


@contextmanager
def no_more_pods(shipped: Shipped) -> Iterator[None]:
    """The ResourceQuota is used up."""

    def known() -> bool:
        quota = _read(shipped, "resourcequota/sessions")
        return bool(quota["status"]["hard"] == quota["spec"]["hard"])

    try:
        with _changed(shipped, "resourcequota/sessions", "/spec/hard/pods", "0"):
            until(known)
            yield
    finally:
        until(known)


@contextmanager
def rules(shipped: Shipped, changed: list[dict[str, Any]]) -> Iterator[None]:
    """The Role's."""
    with _changed(shipped, "role/bindery", "/rules", changed):
        yield


def rules_of(shipped: Shipped) -> list[dict[str, Any]]:
    """The Role's, as it was shipped."""
    return list(_read(shipped, "role/bindery")["rules"])


@contextmanager
def _changed(shipped: Shipped, what: str, path: str, value: object) -> Iterator[None]:
    before: Any = _read(shipped, what)
    for name in path.strip("/").split("/"):
        before = before[name]
    _replace(shipped, what, path, value)
    try:
        yield
    finally:
        _replace(shipped, what, path, before)


def _read(shipped: Shipped, what: str) -> dict[str, Any]:
    return dict(json.loads(shipped.kubectl("get", what, "-o", "json")))


def _replace(shipped: Shipped, what: str, path: str, value: object) -> None:
    operation = {"op": "replace", "path": path, "value": value}
    shipped.kubectl("patch", what, "--type=json", "-p", json.dumps([operation]))
