"""Sessions as Pods, each behind a Gateway on its own host name."""

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

SOONEST, LATEST, GROWTH = 0.04, 0.1, 1.05  # seconds between two questions to a session's address: ever rarer
FRESH_SECONDS = 5  # trouble that began so lately has not been told yet
STARTS = 3


@dataclass(frozen=True)
class PublicAddress:
    """Where sessions are reached: `base` is an address; each session is at a sub-domain of its host."""

    base: str

    @property
    def domain(self) -> str:
        """The host whose sub-domains are sessions'."""
        return urlsplit(self.base).hostname or ""

    def of(self, session: str) -> str:
        """A session's public address, with a trailing slash."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{session}.{parts.netloc}/"


class KubernetesSessions:
    """The session launcher for a cluster. Everything it must know of a session is in the cluster."""

    def __init__(self, cluster: Cluster, making: Making, address: PublicAddress, clock: Clock) -> None:
        self._cluster = cluster
        self._making = making
        self._address = address
        self._clock = clock

    def start(self, order: SessionOrder) -> None:
        for _ in range(STARTS):
            owner = self._cluster.create(service(order, self._clock.random_id(4))) or self._owner(order.id)
            if owner is None:
                continue  # it was ended in this moment: its name is free
            run = owner["metadata"]["labels"][RUN]
            self._cluster.create(secret(order, run, owner))
            if self._cluster.create(pod(order, run, owner, self._making)) or self._lives(order.id, run):
                self._cluster.create(route(order, run, owner, self._making))
                return
            self.stop(order.id)  # what an earlier try left
        raise LauncherDown(why="what an earlier start left is still being removed")

    def wait(self, session: str, token: str, seconds: float) -> SessionReport:
        until = time.monotonic() + seconds
        url, pause = self._address.of(session), SOONEST
        with PodWatch(self._cluster, session, seconds) as watch:
            told = "" if self._is_fresh(watch.state) else str(watch.state.trouble)
            while not watch.state.gone:
                left = until - time.monotonic()
                if watch.state.runs and activity.is_session(url, token, max(left, 1)):
                    return SessionReport(Liveness.READY, url=url)
                if left <= 0 or (watch.state.trouble and str(watch.state.trouble) != told):
                    return SessionReport(Liveness.STARTING, trouble=watch.state.trouble)
                if watch.state.runs:
                    watch.next(min(pause, left))
                    pause = min(LATEST, pause * GROWTH)
                else:
                    watch.next(left)
            return _gone(watch.state)

    def ask(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]:
        return activity.ask(sessions, seconds, self._clock.now())

    def stop(self, session: str) -> None:
        """The Service goes first, and with it the name; what it owns the cluster removes. The Pod is not left to that.

        A Pod that does not end in time is on a node that does not answer: it is marked, and goes when the node is heard of.
        """
        self._cluster.delete(SERVICE, service_name(session))
        for left in list(self._cluster.each(POD, f"{ID}={session}")):
            self._cluster.delete(POD, left["metadata"]["name"])
            self._await_end(left["metadata"]["name"])

    def objects(self) -> Sequence[SessionObject]:
        # Of each page only this is kept: bodies of thousands of Pods would fill a function's memory.
        found = {each["metadata"]["uid"]: _object(each, no_pod()) for each in self._cluster.each(SERVICE, MARKED)}
        strays = {}
        for each in self._cluster.each(POD, MARKED):
            uid = next((owner["uid"] for owner in each["metadata"].get("ownerReferences", ())), "")
            state = state_of(each)
            if uid in found:
                found[uid] = replace(found[uid], alive=not state.gone, why=_spoken(state))
            elif not each["metadata"].get("deletionTimestamp"):  # else it is on its way out
                strays[each["metadata"]["labels"][ID]] = _object(each, PodState(gone=True))
        owned = {each.id for each in found.values()}
        return [*found.values(), *(stray for stray in strays.values() if stray.id not in owned)]

    def missing(self) -> str:
        """What has to be there and is not, and what to do about it; empty if all is well."""
        return missing(self._cluster, self._making)

    @property
    def where(self) -> str:
        """Which cluster, namespace and gateway, for people."""
        return (
            f"Sessions are Pods in namespace {self._cluster.namespace} of {self._cluster.address}, "
            f"reached through Gateway {self._making.gateway} at {self._address.of('<id>')}"
        )

    def close(self) -> None:
        """Closes connections. Sessions live on."""
        self._cluster.close()

    def _owner(self, session: str) -> Body | None:
        """The Service that owns a session's objects, unless it is on its way out."""
        found = self._cluster.find(SERVICE, service_name(session))
        return found if found and not found["metadata"].get("deletionTimestamp") else None

    def _lives(self, session: str, run: str) -> bool:
        found = self._cluster.find(POD, run_name(session, run))
        return found is not None and not state_of(found).gone

    def _await_end(self, name: str) -> None:
        found, version = self._cluster.look(POD, name)
        if found:
            with closing(self._cluster.watch(POD, name, version, END_SECONDS + 2)) as watching:
                any(kind == "DELETED" for kind, _ in watching)

    def _is_fresh(self, state: PodState) -> bool:
        """Whether its trouble has not been told yet."""
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
    """What ended a session, as its record keeps it; empty: nothing that the cluster knows of."""
    match state.trouble:
        case SessionOutOfMemory() as trouble:
            return f"it used more memory than it may ({trouble.facts['limit']})"
        case SessionEvicted() as trouble:
            return f"the cluster ended it: {trouble.facts['why']}"
        case NodeLost():
            return "the machine that it ran on went away"
        case _:
            return ""
