"""A Pod's state as it changes: one look, then a watch, read by a thread so that its session can be asked meanwhile."""

import queue
import threading
from types import TracebackType
from typing import Self

from bindery.adapters.kubernetes.api import POD, Body, Cluster, Watching
from bindery.adapters.kubernetes.manifests import ID
from bindery.adapters.kubernetes.pod_state import PodState, no_pod, seconds_of, state_of
from bindery.domain.errors import BinderyError


class PodWatch:
    """A session's Pod, for `seconds` at most. Raises LauncherDown where the cluster does not answer."""

    def __init__(self, cluster: Cluster, session: str, seconds: float) -> None:
        pods, version = cluster.now(POD, labelSelector=f"{ID}={session}")
        pod = min(pods, key=_pastness, default=None)
        self.state = state_of(pod) if pod else no_pod()
        self._heard: queue.SimpleQueue[PodState | BinderyError] = queue.SimpleQueue()
        self._watching: Watching | None = None
        self._closed = False
        if pod and not self.state.gone and seconds > 0:
            listening = (cluster, pod["metadata"]["name"], version, seconds)
            threading.Thread(target=self._listen, args=listening, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed = True
        if self._watching:
            self._watching.close()

    def next(self, seconds: float) -> PodState:
        """The state as soon as it has changed, or as it is after `seconds`."""
        try:
            heard = self._heard.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return self.state
        if isinstance(heard, BinderyError):
            raise heard
        self.state = heard
        return heard

    def _listen(self, cluster: Cluster, pod: str, version: str, seconds: float) -> None:
        try:
            self._watching = cluster.watch(POD, pod, version, seconds)
            for kind, changed in () if self._closed else self._watching:
                self._heard.put(state_of(changed) if kind != "DELETED" else _deleted(changed))
        except BinderyError as error:
            if not self._closed:
                self._heard.put(error)
        finally:
            if self._watching:
                self._watching.close()


def _pastness(pod: Body) -> tuple[float, bool]:
    """Orders the Pods of a session's runs, the latest first: earlier ones may not be marked yet as on their way out."""
    return -seconds_of(pod["metadata"].get("creationTimestamp", "")), state_of(pod).gone


def _deleted(pod: Body) -> PodState:
    return PodState(gone=True, trouble=state_of(pod).trouble)
