"""Changes that a test makes to its cluster as an operator would. Each change is undone afterwards."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.cluster.shipped import Shipped
from tests.serving.lab import until


@contextmanager
def tainted(shipped: Shipped) -> Iterator[None]:
    """Taint the only node of the cluster, so that it takes only other Pods. Wait until the scheduler has seen the taint."""
    shipped.kubectl("taint", "node", "localhost", "pool=staff:NoSchedule", "--overwrite")
    try:
        until(lambda: _is_unschedulable(shipped), 60)
        yield
    finally:
        shipped.kubectl("taint", "node", "localhost", "pool-")


def _is_unschedulable(shipped: Shipped) -> bool:
    """Return True if the scheduler finds no node for a new Pod. The Pod is deleted again."""
    probe = ("pod", "taint-probe", "--namespace=default")
    path = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].status}"
    shipped.kubectl("run", probe[1], probe[2], "--image=none.invalid/none", "--restart=Never")
    try:
        until(lambda: shipped.kubectl("get", *probe, "-o", path))
        return shipped.kubectl("get", *probe, "-o", path) == "False"
    finally:
        shipped.kubectl("delete", *probe, "--grace-period=0", "--force")


@contextmanager
def without_ceilings(shipped: Shipped) -> Iterator[None]:
    """Remove the limits from the LimitRange."""
    with _changed(shipped, "limitrange/sessions", "/spec/limits", []):
        yield


@contextmanager
def no_more_pods(shipped: Shipped) -> Iterator[None]:
    """Use up the ResourceQuota."""

    def is_counted() -> bool:
        quota = _read(shipped, "resourcequota/sessions")
        return bool(quota["status"]["hard"] == quota["spec"]["hard"])

    try:
        with _changed(shipped, "resourcequota/sessions", "/spec/hard/pods", "0"):
            until(is_counted)
            yield
    finally:
        until(is_counted)


@contextmanager
def rules(shipped: Shipped, changed: list[dict[str, Any]]) -> Iterator[None]:
    """Change the rules of the Role."""
    with _changed(shipped, "role/bindery", "/rules", changed):
        yield


def rules_of(shipped: Shipped) -> list[dict[str, Any]]:
    """Return the Role's rules as they were shipped."""
    return list(_read(shipped, "role/bindery")["rules"])


@contextmanager
def another_node(shipped: Shipped) -> Iterator[Callable[[], None]]:
    """Add a node on which no Pod runs.

    A cluster that loses its only node believes that it has lost itself; therefore a second one is needed.
    Call the yielded function every few seconds, and the node stays well.
    """
    taint = {"key": "pretended", "effect": "NoSchedule"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "another"}, "spec": {"taints": [taint]}}
    shipped.kubectl("create", "-f", "-", input=json.dumps(node))

    def renew() -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "Pretended", "lastHeartbeatTime": now}
        status = {"status": {"conditions": [{**ready, "lastTransitionTime": now}]}}
        shipped.kubectl("patch", "node", "another", "--subresource=status", "--type=merge", "-p", json.dumps(status))

    try:
        renew()
        yield renew
    finally:
        shipped.kubectl("delete", "node", "another")


@contextmanager
def _changed(shipped: Shipped, resource: str, path: str, value: object) -> Iterator[None]:
    before: Any = _read(shipped, resource)
    for name in path.strip("/").split("/"):
        before = before[name]
    _replace(shipped, resource, path, value)
    try:
        yield
    finally:
        _replace(shipped, resource, path, before)


def _read(shipped: Shipped, resource: str) -> dict[str, Any]:
    return dict(json.loads(shipped.kubectl("get", resource, "-o", "json")))


def _replace(shipped: Shipped, resource: str, path: str, value: object) -> None:
    operation = {"op": "replace", "path": path, "value": value}
    shipped.kubectl("patch", resource, "--type=json", "-p", json.dumps([operation]))
