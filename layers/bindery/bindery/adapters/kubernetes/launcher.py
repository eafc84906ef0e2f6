"""Session launcher for Kubernetes: each session is a Pod behind a Gateway, with its own host name."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bindery.adapters.jupyter import activity
from bindery.adapters.kubernetes.api import POD, SERVICE, Body, Cluster
from bindery.adapters.kubernetes.manifests import (
    END_SECONDS,
    ID,
    MARKED,
    RUN,
    Making,
    pod,
    route,
    run_name,
    secret,
    service,
    service_name,
)
from bindery.adapters.kubernetes.pod_state import PodState, no_pod, seconds_of, state_of
from bindery.adapters.kubernetes.pod_watch import PodWatch
from bindery.adapters.kubernetes.preflight import missing
from bindery.domain.errors import LauncherDown, NodeLost, SessionDied, SessionEvicted, SessionOutOfMemory
from bindery.domain.sessions import Activity, Liveness, SessionObject, SessionOrder, SessionReport
from bindery.ports.clock import Clock

SOONEST, LATEST, GROWTH = 0.04, 0.1, 1.05  # seconds between two requests to a session's address: growing intervals
FRESH_SECONDS = 5  # trouble that began less than this ago has not been reported yet
STARTS = 3


@dataclass(frozen=True)
class PublicAddress:
    """Public address of sessions. base: a URL; each session has a sub-domain of its host."""

    base: str

    @property
    def domain(self) -> str:
        """Return the parent domain of the sessions' hosts."""
        return urlsplit(self.base).hostname or ""

    def of(self, session: str) -> str:
        """Return a session's public address, with a trailing slash."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{session}.{parts.netloc}/"


class KubernetesSessions:
    """Session launcher for a cluster. The cluster stores the whole state of the sessions."""

    def __init__(self, cluster: Cluster, making: Making, address: PublicAddress, clock: Clock) -> None:
        self._cluster = cluster
        self._making = making
        self._address = address
        self._clock = clock

    def start(self, order: SessionOrder) -> None:
        for _ in range(STARTS):
            owner = self._cluster.create(service(order, self._clock.random_id(4))) or self._owner(order.id)
            if owner is None:
                continue  # the session was stopped just now: its name is free
            run = owner["metadata"]["labels"][RUN]
            self._cluster.create(secret(order, run, owner))
            if self._cluster.create(pod(order, run, owner, self._making)) or self._lives(order.id, run):
                self._cluster.create(route(order, run, owner, self._making))
                return
            self.stop(order.id)  # remove the objects of an earlier start
        raise LauncherDown(why="what an earlier start left is still being removed")

    def wait(self, session: str, token: str, seconds: float) -> SessionReport:
        until = time.monotonic() + seconds
        url, pause = self._address.of(session), SOONEST
        with PodWatch(self._cluster, session, seconds) as watch:
            reported = "" if self._is_fresh(watch.state) else str(watch.state.trouble)
            while not watch.state.gone:
                remaining = until - time.monotonic()
                if watch.state.runs and activity.is_session(url, token, max(remaining, 1)):
                    return SessionReport(Liveness.READY, url=url)
                if remaining <= 0 or (watch.state.trouble and str(watch.state.trouble) != reported):
                    return SessionReport(Liveness.STARTING, trouble=watch.state.trouble)
                if watch.state.runs:
                    watch.next(min(pause, remaining))
                    pause = min(LATEST, pause * GROWTH)
                else:
                    watch.next(remaining)
            return _gone(watch.state)

    def activity(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]:
        return activity.poll(sessions, seconds, self._clock.now())

    def stop(self, session: str) -> None:
        """Delete the session's Service, then its Pods, and wait for their end.

        The Service goes first, which frees the name; the cluster deletes the objects that it owns. The Pods are also deleted here. A
        Pod that does not end in time is on a node that does not respond: it is marked for deletion, and ends when the node responds.
        """
        self._cluster.delete(SERVICE, service_name(session))
        for body in list(self._cluster.each(POD, f"{ID}={session}")):
            self._cluster.delete(POD, body["metadata"]["name"])
            self._await_end(body["metadata"]["name"])

    def list_sessions(self) -> Sequence[SessionObject]:
        # Only these fields of each page are stored: the bodies of thousands of Pods would fill a function's memory.
        services = {each["metadata"]["uid"]: _object(each, no_pod()) for each in self._cluster.each(SERVICE, MARKED)}
        strays = {}
        for each in self._cluster.each(POD, MARKED):
            uid = next((owner["uid"] for owner in each["metadata"].get("ownerReferences", ())), "")
            state = state_of(each)
            if uid in services:
                services[uid] = replace(services[uid], alive=not state.gone, why=_spoken(state))
            elif not each["metadata"].get("deletionTimestamp"):  # else it is being deleted
                strays[each["metadata"]["labels"][ID]] = _object(each, PodState(gone=True))
        owned = {each.id for each in services.values()}
        return [*services.values(), *(stray for stray in strays.values() if stray.id not in owned)]

    def missing(self) -> str:
        """Return the missing prerequisite and its remedy; empty if all prerequisites exist."""
        return missing(self._cluster, self._making)

    @property
    def where(self) -> str:
        """Return the cluster, namespace and gateway as readable text."""
        return (
            f"Sessions are Pods in namespace {self._cluster.namespace} of {self._cluster.address}, "
            f"reached through Gateway {self._making.gateway} at {self._address.of('<id>')}"
        )

    def close(self) -> None:
        """Close the connections. Sessions keep running."""
        self._cluster.close()

    def _owner(self, session: str) -> Body | None:
        """Return the Service that owns a session's objects; None if it is missing or being deleted."""
        owner = self._cluster.find(SERVICE, service_name(session))
        return owner if owner and not owner["metadata"].get("deletionTimestamp") else None

    def _lives(self, session: str, run: str) -> bool:
        body = self._cluster.find(POD, run_name(session, run))
        return body is not None and not state_of(body).gone

    def _await_end(self, name: str) -> None:
        body, version = self._cluster.get_with_version(POD, name)
        if body:
            with closing(self._cluster.watch(POD, name, version, END_SECONDS + 2)) as watching:
                any(kind == "DELETED" for kind, _ in watching)

    def _is_fresh(self, state: PodState) -> bool:
        """Return True if the Pod's trouble is so new that it has not been reported yet."""
        return self._clock.now() - state.since < FRESH_SECONDS


def _gone(state: PodState) -> SessionReport:
    if isinstance(state.trouble, SessionDied):
        return SessionReport(Liveness.GONE, why=str(state.trouble.facts["why"]))
    return SessionReport(Liveness.GONE, trouble=state.trouble)


def _object(body: Body, state: PodState) -> SessionObject:
    metadata = body["metadata"]
    started = seconds_of(metadata["creationTimestamp"])
    return SessionObject(metadata["labels"][ID], started, alive=not state.gone, why=_spoken(state))


def _spoken(state: PodState) -> str:
    """Return the reason of a session's end, as in its record; empty if the cluster has no reason."""
    match state.trouble:
        case SessionOutOfMemory() as trouble:
            return f"it used more memory than it may ({trouble.facts['limit']})"
        case SessionEvicted() as trouble:
            return f"the cluster ended it: {trouble.facts['why']}"
        case NodeLost():
            return "the machine that it ran on went away"
        case _:
            return ""
