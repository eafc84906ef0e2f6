"""State of a session from its Pod's status: its progress, the obstacle to its start, or the cause of its end."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bindery.adapters.kubernetes.manifests import CONTAINER, REF
from bindery.domain.errors import (
    BinderyError,
    ClusterFull,
    ContentUnavailable,
    ImageGone,
    ImagePullFailed,
    NodeLost,
    SessionDied,
    SessionEvicted,
    SessionOutOfMemory,
    SessionRefused,
)

Body = Mapping[str, Any]
CONTENT_EXIT = 76
CONTENT_MARK = "bindery content: "
# Registries send "does not exist or may require authorization" to nodes without permission: the image may still exist.
DENIED = re.compile(r"access denied|unauthorized|forbidden|insufficient_scope|authorization failed", re.IGNORECASE)
NOT_THERE = re.compile(r"not found|manifest unknown|does not exist|NotFound", re.IGNORECASE)
REJECTED = re.compile(r"OutOf\w[\w./-]*|UnexpectedAdmissionError|NodeAffinity|NodeShutdown|Terminated")  # by its node
PASSES = re.compile(r"failed to sync \S+ cache|timed out|deadline exceeded|is reserved for", re.IGNORECASE)
INSUFFICIENT = re.compile(r"Insufficient ([\w./-]*\w)")
TAINT = re.compile(r"untolerated taint(?:\(s\)| \{([^}]*)\})?")
TOO_MUCH_DISK = re.compile(r"local storage usage exceeds the total limit of containers (?P<limit>[\w.]*\w)")
LONGEST = 400


@dataclass(frozen=True)
class PodState:
    """State of a session's Pod. runs: its server may respond now. gone: it will never respond.

    trouble: the cause of its end, or the obstacle to its start. since: UTC seconds when the trouble was noticed; 0: unknown.
    """

    runs: bool = False
    gone: bool = False
    trouble: BinderyError | None = None
    since: float = 0


def no_pod() -> PodState:
    """Return the state of a session without a Pod, or with a Pod that is being deleted without a stated reason."""
    return PodState(gone=True, trouble=SessionEvicted(why="its Pod was deleted"))


def state_of(pod: Body) -> PodState:
    """Return the state of a Pod. pod: the object from the API server."""
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        taken = _taken_away(status)
        return PodState(gone=True, trouble=taken) if taken else no_pod()
    container = _ours(status.get("containerStatuses", ())).get("state", {})
    if (
        status.get("phase") in ("Failed", "Succeeded") or "terminated" in container
    ):  # other containers of the Pod may continue
        return PodState(gone=True, trouble=_end(pod, status, container.get("terminated", {})))
    if "running" in container:
        return PodState(runs=True)
    waiting = container.get("waiting", {})
    if trouble := _at_start(pod, waiting.get("reason", ""), waiting.get("message", "")):
        return trouble
    return _scheduling(status)


def _taken_away(status: Body) -> BinderyError | None:
    """Return the reason why the cluster deletes a Pod; None if the cluster does not delete it."""
    for condition in status.get("conditions", ()):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            if condition.get("reason") in ("DeletionByTaintManager", "DeletionByPodGC"):
                return NodeLost()
            return SessionEvicted(why=_evicted(condition.get("message", "")))
    return None


def _end(pod: Body, status: Body, ended: Body) -> BinderyError:
    if status.get("reason") == "Evicted" or REJECTED.fullmatch(status.get("reason", "")):
        return SessionEvicted(why=_evicted(status.get("message", "")))
    if status.get("reason") == "NodeLost":
        return NodeLost()
    if taken := _taken_away(status):
        return taken
    if ended.get("reason") == "OOMKilled" and ended.get("exitCode") != 0:  # else an earlier process in it was killed
        return SessionOutOfMemory(limit=memory_of(pod))
    words = str(ended.get("message", ""))
    if ended.get("exitCode") == CONTENT_EXIT and words.startswith(CONTENT_MARK):
        ref = str(pod["metadata"].get("annotations", {}).get(REF, ""))
        return ContentUnavailable(ref=ref, why=_short(words.removeprefix(CONTENT_MARK)))
    return SessionDied(why=words or str(status.get("message", "")))


def _ours(containers: Iterable[Body]) -> Body:
    """Return the session's own container: a cluster may add sidecar and init containers."""
    return next((each for each in containers if each.get("name") == CONTAINER), {})


def memory_of(pod: Body) -> str:
    """Return the memory limit of the session's container, as a Kubernetes quantity."""
    return str(_ours(pod["spec"]["containers"]).get("resources", {}).get("limits", {}).get("memory", "its limit"))


def _at_start(pod: Body, reason: str, message: str) -> PodState | None:
    """Return the state of a waiting container; None if its start is only slow."""
    image = str(_ours(pod["spec"]["containers"]).get("image", ""))
    match reason:
        case "ErrImagePull" | "ImagePullBackOff" if NOT_THERE.search(message) and not DENIED.search(message):
            return PodState(gone=True, trouble=ImageGone(image=image))
        case "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName":
            return PodState(gone=True, trouble=ImagePullFailed(why=_pull(message)))
        case "ErrImagePull" | "RegistryUnavailable":
            return PodState(trouble=ImagePullFailed(why=_pull(message)))
        case "CreateContainerConfigError" | "CreateContainerError" if PASSES.search(message):
            return None  # a busy node, which retries at once
        case "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError":
            return PodState(gone=True, trouble=SessionRefused(why=_short(message)))
        case _:
            return None


def _scheduling(status: Body) -> PodState:
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            since = seconds_of(condition.get("lastTransitionTime", ""))
            return PodState(trouble=ClusterFull(why=lack_of(condition.get("message", ""))), since=since)
    return PodState()


def lack_of(message: str) -> str:
    """Return the scheduler's message in plain words.

    message: such as `0/3 nodes are available: 2 Insufficient memory, 1 node(s) had untolerated taint {x: y}.`
    """
    sentence = message.partition(" preemption:")[0]
    lacks = [f"not enough {lack.replace('ephemeral-storage', 'disk')}" for lack in INSUFFICIENT.findall(sentence)]
    if taints := TAINT.findall(sentence):
        names = ", ".join(dict.fromkeys(taint.rstrip(": ") for taint in taints if taint))
        lacks.append(f"nodes are kept for others (taint {names})" if names else "nodes are kept for others (taints)")
    if "didn't match Pod's node affinity/selector" in sentence:
        lacks.append("no node has the labels that are asked for")
    if "Too many pods" in sentence:
        lacks.append("nodes hold as many sessions as they may")
    if "no nodes available" in sentence:
        lacks.append("there is no node")
    return ", ".join(dict.fromkeys(lacks)) or _short(sentence)


def seconds_of(moment: str) -> float:
    """Return the UTC seconds of a time in the API's format; 0 if it is empty."""
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def _pull(message: str) -> str:
    """Return the registry's own message from the end of the node's message."""
    return _short(message.rpartition("desc = ")[2] or message)


def _evicted(message: str) -> str:
    if full := TOO_MUCH_DISK.search(message):
        return f"it used more disk than it may ({full['limit']})"
    return _short(message.rstrip(". ")) or "the cluster needed its place"


def _short(words: str) -> str:
    return words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} ... {words[-LONGEST // 2 :]}"
