"""Watch of a Pod's state: one list request, then a watch. A thread reads it, so the session can be requested in the meantime."""

import queue
import threading
from types import TracebackType
from typing import Self

from bindery.adapters.kubernetes.api import POD, Body, Cluster, Watching
from bindery.adapters.kubernetes.manifests import ID
from bindery.adapters.kubernetes.pod_state import PodState, no_pod, seconds_of, state_of
from bindery.domain.errors import BinderyError


class PodWatch:
    """Watch of a session's Pod for at most `seconds`. Raises LauncherDown if the cluster does not respond."""

    def __init__(self, cluster: Cluster, session: str, seconds: float) -> None:
        pods, version = cluster.now(POD, labelSelector=f"{ID}={session}")
        pod = min(pods, key=_pastness, default=None)
        self.state = state_of(pod) if pod else no_pod()
        self._results: queue.SimpleQueue[PodState | BinderyError] = queue.SimpleQueue()
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
        """Wait at most `seconds` for a change, and return the state."""
        try:
            result = self._results.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return self.state
        if isinstance(result, BinderyError):
            raise result
        self.state = result
        return result

    def _listen(self, cluster: Cluster, pod: str, version: str, seconds: float) -> None:
        try:
            self._watching = cluster.watch(POD, pod, version, seconds)
            for kind, changed in () if self._closed else self._watching:
                self._results.put(state_of(changed) if kind != "DELETED" else _deleted(changed))
        except BinderyError as error:
            if not self._closed:
                self._results.put(error)
        finally:
            if self._watching:
                self._watching.close()


def _pastness(pod: Body) -> tuple[float, bool]:
    """Return a sort key that orders a session's Pods, the latest first: earlier ones may not be marked for deletion yet."""
    return -seconds_of(pod["metadata"].get("creationTimestamp", "")), state_of(pod).gone


def _deleted(pod: Body) -> PodState:
    return PodState(gone=True, trouble=state_of(pod).trouble)
