"""A watcher beside a launch. It sees the launch's objects come, and the first answer of its public address."""

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config
from kubernetes.watch import Watch
from urllib3.exceptions import HTTPError

from bindery.adapters.kubernetes.manifests import ID
from bindery.adapters.kubernetes.pod_state import state_of
from tests.cluster.shipped import DOMAIN, NAMESPACE, Shipped
from tests.performance.answers import answers

EVERY_SECONDS = 0.004
Times = dict[str, float]


class Sightings:
    """The sightings of sessions' objects.

    times: by session, the time (`time.perf_counter`) when each of `service`, `pod`, `runs` and `answers` was first so.
    """

    def __init__(self, shipped: Shipped) -> None:
        self.times: dict[str, Times] = {}
        self._port = shipped.cluster.gateway_port
        self._client = new_client_from_config(config_file=str(shipped.cluster.kubeconfig))
        self._watches: list[Any] = []
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    @contextmanager
    def going_on(self) -> Iterator["Sightings"]:
        """Watch while the block lasts."""
        api: Any = CoreV1Api(self._client)
        kinds = {
            "service": api.list_namespaced_service,
            "pod": api.list_namespaced_pod,
            "secret": api.list_namespaced_secret,
        }
        for kind, listing in kinds.items():
            self._begin(self._watch, kind, listing, listing(NAMESPACE).metadata.resource_version)
        try:
            yield self
        finally:
            self._ended.set()
            for watch in self._watches:
                watch.stop()

    def wait(self, session: str, state: str, seconds: float = 30) -> float:
        until = time.monotonic() + seconds
        while state not in self.times.get(session, {}):
            assert time.monotonic() < until, f"{session}: never saw {state}, only {self.times.get(session)}"
            time.sleep(0.01)
        return self.times[session][state]

    def _begin(self, target: Any, *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _watch(self, kind: str, listing: Any, version: str) -> None:
        watch: Any = Watch()
        self._watches.append(watch)
        with suppress(HTTPError):  # as it ends with the run
            for event in watch.stream(listing, NAMESPACE, resource_version=version):
                if event and event["type"] != "DELETED":  # without an event it was stopped
                    self._see(kind, event["type"], event["raw_object"])

    def _see(self, kind: str, change: str, sighted: Any) -> None:
        session = sighted["metadata"].get("labels", {}).get(ID)
        if session:
            self._note(session, kind)
            if kind == "pod" and state_of(sighted).runs:
                self._note(session, "runs")
            if kind == "secret" and change == "ADDED":
                self._begin(self._ask, session, base64.b64decode(sighted["data"]["token"]).decode())

    def _ask(self, session: str, token: str) -> None:
        host = f"{session}.{DOMAIN}:{self._port}"
        while not self._ended.is_set():
            if answers("127.0.0.1", self._port, host, token):
                self._note(session, "answers")
                return
            time.sleep(EVERY_SECONDS)

    def _note(self, session: str, state: str) -> None:
        self.times.setdefault(session, {}).setdefault(state, time.perf_counter())
