"""The meaning of a Pod's record, with records as a kubelet and a scheduler write them."""

from typing import Any

import pytest

from bindery.adapters.kubernetes.pod_state import lack_of, state_of
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

Body = dict[str, Any]
DISK = "local storage usage exceeds the total limit of containers"


def a_pod(phase: str = "Pending", container: Body | None = None, *, deleted: bool = False, **status: object) -> Body:
    metadata = {
        "name": "session-one",
        "annotations": {"bindery/ref": "abc"},
        **({"deletionTimestamp": "2026-11-24T12:00:00Z"} if deleted else {}),
    }
    containers = [{"name": "session", "image": "r.example/x@sha256:1", "resources": {"limits": {"memory": "2G"}}}]
    states = {"containerStatuses": [{"name": "session", "state": container}]} if container else {}
    return {
        "metadata": metadata,
        "spec": {"containers": containers},
        "status": {"phase": phase, **states, **status},
    }


def ended(reason: str, message: str = "", code: int = 1) -> Body:
    return a_pod("Failed", {"terminated": {"reason": reason, "message": message, "exitCode": code}})


def waiting(reason: str, message: str) -> Body:
    return a_pod(container={"waiting": {"reason": reason, "message": message}})


def unschedulable(message: str) -> Body:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }
    return a_pod(conditions=[condition])


def disrupted(reason: str, **more: object) -> list[Body]:
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason, **more}]


def test_a_new_pod_is_starting() -> None:
    state = state_of({"metadata": {"name": "x"}, "spec": {"containers": [{"image": "x"}]}, "status": {}})
    assert (state.runs, state.gone, state.trouble) == (False, False, None)


def test_a_pod_with_a_running_container_runs() -> None:
    assert state_of(a_pod("Running", {"running": {"startedAt": "2026-11-24T12:00:00Z"}})).runs


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ContainerCreating", ""),
        ("PodInitializing", ""),
        ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"),
        ("CreateContainerError", "context deadline exceeded"),
        ("CreateContainerError", 'failed to reserve container name "x": name "x" is reserved for "0123"'),
    ],
)
def test_a_slow_start_is_no_error(reason: str, message: str) -> None:
    state = state_of(waiting(reason, message))
    assert (state.runs, state.gone, state.trouble) == (False, False, None)


@pytest.mark.parametrize(
    ("pod", "kind", "facts"),
    [
        (ended("OOMKilled", code=137), SessionOutOfMemory, {"limit": "2G"}),
        (ended("OOMKilled", "", 0), SessionDied, {"why": ""}),
        (ended("Error", "Traceback\nboom"), SessionDied, {"why": "Traceback\nboom"}),
        (ended("Completed", "", 0), SessionDied, {"why": ""}),
        (
            ended("Error", "bindery content: fatal: could not read", 76),
            ContentUnavailable,
            {"ref": "abc", "why": "fatal: could not read"},
        ),
        (ended("Error", "bindery content: abc a program's own words", 1), SessionDied, None),
        (a_pod("Failed", reason="Evicted", message="low on memory"), SessionEvicted, {"why": "low on memory"}),
        (
            a_pod("Failed", reason="Evicted", message=f"Pod ephemeral {DISK} 50M. "),
            SessionEvicted,
            {"why": "it used more disk than it may (50M)"},
        ),
        (a_pod("Failed", reason="Evicted"), SessionEvicted, {"why": "the cluster needed its place"}),
        *(
            (
                a_pod("Failed", reason=reason, message="Pod was rejected: no"),
                SessionEvicted,
                {"why": "Pod was rejected: no"},
            )
            for reason in (
                "OutOfmemory",
                "OutOfpods",
                "OutOfephemeral-storage",
                "OutOfnvidia.com/gpu",
                "NodeAffinity",
                "UnexpectedAdmissionError",
                "NodeShutdown",
                "Terminated",
            )
        ),
        (a_pod("Failed", reason="NodeLost"), NodeLost, {}),
        (a_pod("Running", deleted=True, conditions=disrupted("DeletionByTaintManager")), NodeLost, {}),
        (a_pod("Failed", conditions=disrupted("DeletionByPodGC")), NodeLost, {}),
        (
            a_pod("Running", deleted=True, conditions=disrupted("PreemptionByScheduler", message="a greater one came")),
            SessionEvicted,
            {"why": "a greater one came"},
        ),
        (
            waiting("ImagePullBackOff", 'Back-off pulling image "x": code = NotFound desc = x: not found'),
            ImageGone,
            {"image": "r.example/x@sha256:1"},
        ),
        (
            waiting("ImagePullBackOff", "rpc error: code = Unknown desc = dial tcp: connection refused"),
            ImagePullFailed,
            {"why": "dial tcp: connection refused"},
        ),
        *(
            (waiting("ImagePullBackOff", f"rpc error: code = Unknown desc = {words}"), ImagePullFailed, {"why": words})
            for words in (
                "pull access denied, repository does not exist or may require authorization",
                "unexpected status from HEAD request to https://r.example/v2/x: 401 Unauthorized, not found",
                "insufficient_scope: authorization failed, does not exist",
            )
        ),
        (
            waiting("CreateContainerConfigError", 'secret "x" not found'),
            SessionRefused,
            {"why": 'secret "x" not found'},
        ),
    ],
)
def test_each_end_of_a_pod_has_its_own_error(pod: Body, kind: type[BinderyError], facts: Body | None) -> None:
    state = state_of(pod)
    assert state.gone
    assert type(state.trouble) is kind
    assert facts is None or state.trouble.facts == facts


def test_a_deleted_pod_is_reported_as_deleted() -> None:
    state = state_of(a_pod("Running", {"running": {}}, deleted=True))
    assert (state.gone, type(state.trouble)) == (True, SessionEvicted)
    assert state.trouble is not None
    assert state.trouble.facts == {"why": "its Pod was deleted"}


def test_a_first_failed_pull_is_a_temporary_error() -> None:
    state = state_of(waiting("ErrImagePull", "desc = connection refused"))
    assert not state.gone
    assert isinstance(state.trouble, ImagePullFailed)


def test_an_unschedulable_pod_reports_its_reason_and_time() -> None:
    state = state_of(
        unschedulable("0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available")
    )
    assert not state.gone
    assert isinstance(state.trouble, ClusterFull)
    assert state.trouble.facts == {"why": "not enough memory"}
    assert state.since == 1795521600


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.", "not enough cpu, not enough memory"),
        ("0/1 nodes are available: 1 Insufficient ephemeral-storage.", "not enough disk"),
        ("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", "not enough nvidia.com/gpu"),
        (
            "0/3 nodes are available: 3 node(s) had untolerated taint {pool: staff}. preemption: x",
            "nodes are kept for others (taint pool: staff)",
        ),
        (
            "0/3 nodes are available: 3 node(s) had untolerated taint {node.kubernetes.io/unreachable: }.",
            "nodes are kept for others (taint node.kubernetes.io/unreachable)",
        ),
        ("0/1 nodes are available: 1 node(s) had untolerated taint(s).", "nodes are kept for others (taints)"),
        (
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            "no node has the labels that are asked for",
        ),
        ("0/1 nodes are available: 1 Too many pods.", "nodes hold as many sessions as they may"),
        ("no nodes available to schedule pods", "there is no node"),
        ("something new", "something new"),
    ],
)
def test_scheduler_messages_are_translated_to_plain_words(message: str, why: str) -> None:
    assert lack_of(message) == why


def beside(pod: Body, state: Body) -> Body:
    """Return the Pod with a container that the cluster inserted before the session's."""
    proxy = {"name": "a-proxy", "image": "proxy", "resources": {"limits": {"memory": "1M"}}}
    pod["spec"]["containers"].insert(0, proxy)
    pod["status"]["containerStatuses"].insert(0, {"name": "a-proxy", "state": state})
    return pod


def test_sidecar_containers_are_not_mistaken_for_the_session() -> None:
    running: Body = {"running": {}}
    assert not state_of(beside(waiting("ContainerCreating", ""), running)).runs
    assert state_of(beside(a_pod("Running", running), {"waiting": {"reason": "ErrImagePull"}})).runs
    gone = state_of(beside(waiting("ErrImagePull", "manifest unknown"), running)).trouble
    assert isinstance(gone, ImageGone)
    assert gone.facts == {"image": "r.example/x@sha256:1"}


def test_a_session_has_ended_even_if_a_sidecar_still_runs() -> None:
    terminated = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    state = state_of(beside(a_pod("Running", terminated), {"running": {}}))
    assert state.gone
    assert isinstance(state.trouble, SessionOutOfMemory)
    assert state.trouble.facts == {"limit": "2G"}
