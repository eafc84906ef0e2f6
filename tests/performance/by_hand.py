"""The baseline for a launch on a cluster: a person's script that creates the same Pod and waits until it answers.

The Pod reads its token from a Secret, as a session's does, so the script makes that first. It is part of the same
Pod: a node that asks for a new Pod's Secret before the API server knows that it may tries again more than a second
later.
"""

import time
from itertools import count
from typing import Any

from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config
from kubernetes.watch import Watch

from bindery.adapters.kubernetes.manifests import PORT, Making, pod
from bindery.adapters.kubernetes.pod_state import state_of
from bindery.domain.sessions import SessionOrder
from tests.cluster.shipped import DOMAIN, GATEWAY, NAMESPACE, RESOURCES, Shipped
from tests.performance.answers import answers
from tests.serving.lab import TOKEN, order_of

EVERY_SECONDS = 0.02
PATIENCE_SECONDS = 120


class ByHand:
    """An administrator with a client.

    image: as a launch named it.

    Pods and Secrets stay until they are cleared, as those of launched sessions do: a Pod that is not ready yet shares
    the node with all of them.
    """

    def __init__(self, shipped: Shipped, image: str) -> None:
        self.client = new_client_from_config(config_file=str(shipped.cluster.kubeconfig))
        self.api: Any = CoreV1Api(self.client)
        self.order = order_of("by-hand", image=image)
        self._numbers = count()
        self._made: list[str] = []

    def start(self, _run: int = 0) -> float:
        """Return the seconds from the request to create the Pod until its server answers at the Pod's own address."""
        name = f"by-hand-{next(self._numbers)}"
        start_time = time.perf_counter()
        self._create(name)
        address = self._address(name)
        until = time.monotonic() + PATIENCE_SECONDS
        while not answers(address, PORT, f"{address}:{PORT}", TOKEN):
            assert time.monotonic() < until, f"{name} does not answer"
            time.sleep(EVERY_SECONDS)
        return time.perf_counter() - start_time

    def clear(self) -> None:
        """Begin to remove all Pods and Secrets that were made."""
        while self._made:
            name = self._made.pop()
            self.api.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=1)
            self.api.delete_namespaced_secret(name, NAMESPACE)

    def _create(self, name: str) -> None:
        self._made.append(name)
        token = {"metadata": {"name": name}, "stringData": {"token": self.order.token}}
        self.api.create_namespaced_secret(NAMESPACE, token)
        self.api.create_namespaced_pod(NAMESPACE, same_pod(self.order, name))

    def _address(self, name: str) -> str:
        """Return the Pod's address as soon as the cluster reports it."""
        watch: Any = Watch()
        selector = f"metadata.name={name}"
        events = watch.stream(self.api.list_namespaced_pod, NAMESPACE, field_selector=selector, timeout_seconds=60)
        for event in events:
            pod_object = event["raw_object"]
            assert not state_of(pod_object).gone, pod_object
            if address := pod_object["status"].get("podIP"):
                watch.stop()
                return str(address)
        raise TimeoutError(name)


def same_pod(order: SessionOrder, name: str) -> dict[str, Any]:
    """Return a session's Pod without its name and without the parts that tie it to its other objects."""
    owner = {"metadata": {"name": "none", "uid": "none"}}
    body = pod(order, "0000", owner, Making(GATEWAY, DOMAIN, RESOURCES))
    body["metadata"] = {"name": name}
    for variable in body["spec"]["containers"][0]["env"]:
        if "valueFrom" in variable:
            variable["valueFrom"]["secretKeyRef"]["name"] = name
    return body
