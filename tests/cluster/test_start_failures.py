"""Tests of the causes that keep a session from starting on a real cluster. Each is told at once, with its type, facts
and sentence.
"""

import re
import time
from typing import Any

import pytest

from bindery.adapters.kubernetes import launcher as module
from bindery.adapters.kubernetes.manifests import pod
from bindery.domain.errors import (
    BinderyError,
    ClusterFull,
    ImageGone,
    ImagePullFailed,
    SessionDied,
    SessionOutOfMemory,
    SessionRefused,
)
from bindery.domain.failure import Failure
from bindery.domain.sessions import Liveness
from bindery.web.errors.render import error_message, waiting_message
from tests.cluster.changes import no_more_pods, tainted, without_ceilings
from tests.cluster.trials import Trials, report_of_end
from tests.serving.lab import TOKEN

SOON = 20.0  # seconds in which even a busy machine reports a cause that it can see at once
CLOSED_ADDRESS = "127.0.0.1:9"  # no server listens there
LAST_WORDS = "step 1\nstep 2\nstep 3\nValueError: no such colour"


def sentence(error: BinderyError) -> str:
    return error_message(error).message


def assert_no_room(error: BinderyError, why: str) -> None:
    assert (type(error), error.facts) == (ClusterFull, {"why": why})
    advice = "Launch again in a while; if that does not help, tell whoever runs this Bindery."
    assert sentence(error) == f"The cluster has no room for the session: {why}. {advice}"


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ({"node_selector": {"pool": "nowhere"}}, "no node has the labels that are asked for"),
        ({"gpus": 1}, "not enough nvidia.com/gpu"),
    ],
)
def test_resources_that_no_node_has_mean_a_full_cluster(trials: Trials, resources: dict[str, Any], why: str) -> None:
    assert_no_room(trials.fails(**resources), why)


def test_more_memory_than_any_node_has_means_a_full_cluster(trials: Trials) -> None:
    with without_ceilings(trials.shipped):
        assert_no_room(trials.fails(memory_guarantee="90G", memory_limit="90G"), "not enough memory")


def test_a_tainted_node_means_a_full_cluster(trials: Trials) -> None:
    with tainted(trials.shipped):
        assert_no_room(trials.fails(), "nodes are kept for others (taints)")


def test_a_full_cluster_is_reported_before_the_wait_ends(trials: Trials) -> None:
    with trials.launcher(node_selector={"pool": "nowhere"}) as launcher:
        order = trials.order()
        launcher.start(order)
        began = time.monotonic()
        report = launcher.wait(order.id, TOKEN, 200)
        assert (report.liveness, type(report.trouble)) == (Liveness.STARTING, ClusterFull)
        assert time.monotonic() - began < SOON
        launcher.stop(order.id)


def test_a_session_starts_once_a_node_has_room(trials: Trials) -> None:
    with trials.launcher() as launcher:
        order = trials.order()
        with tainted(trials.shipped):
            launcher.start(order)
            assert isinstance(report_of_end(launcher, order.id).trouble, ClusterFull)
        report = launcher.wait(order.id, TOKEN, 0)
        while report.liveness is Liveness.STARTING:
            report = launcher.wait(order.id, TOKEN, SOON)
        assert report.liveness is Liveness.READY
        launcher.stop(order.id)


def test_an_exhausted_quota_means_a_full_cluster_until_it_has_room(trials: Trials) -> None:
    with trials.launcher() as launcher:
        order = trials.order()
        with no_more_pods(trials.shipped):
            with pytest.raises(ClusterFull) as full:
                launcher.start(order)
            assert_no_room(full.value, "the quota sessions of its namespace is used up (pods=1)")
        launcher.start(order)
        assert launcher.wait(order.id, TOKEN, 60).liveness is Liveness.READY
        launcher.stop(order.id)


def assert_refused(error: BinderyError, why: str) -> None:
    assert isinstance(error, SessionRefused)
    assert re.fullmatch(why, str(error.facts["why"])), error.facts
    advice = "That is for whoever runs this Bindery to mend: tell them."
    assert sentence(error) == f"The cluster does not admit the session: {error.facts['why']}. {advice}"


def test_resources_over_the_namespace_limit_are_refused(trials: Trials) -> None:
    ceilings = (f"maximum memory usage per {what} is 2G, but limit is 3G" for what in ("Container", "Pod"))
    assert_refused(trials.fails(memory_limit="3G"), ", ".join(ceilings))


def test_a_pod_that_violates_pod_security_is_refused(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_root(*arguments: Any) -> dict[str, Any]:
        body = pod(*arguments)
        body["spec"]["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}
        return body

    monkeypatch.setattr(module, "pod", as_root)
    assert_refused(trials.fails(), r"its rules for security ask for more: runAsNonRoot != true .*runAsUser=0.*")


def test_an_unreachable_registry_is_reported_with_its_error(trials: Trials) -> None:
    with trials.launcher() as launcher:
        order = trials.order(f"{CLOSED_ADDRESS}/x:1")
        launcher.start(order)
        report = report_of_end(launcher, order.id)
        assert report.liveness is Liveness.STARTING, "the first try is told while others may follow"
        assert isinstance(report.trouble, ImagePullFailed)
        assert "connection refused" in str(report.trouble.facts["why"])
        assert sentence(report.trouble).startswith("The session's image could not be fetched to where it runs: ")
        assert "Trying again..." in waiting_message(Failure.of(report.trouble))
        report = launcher.wait(order.id, TOKEN, 60)
        assert (report.liveness, type(report.trouble)) == (Liveness.GONE, ImagePullFailed)
        launcher.stop(order.id)


def test_an_image_missing_from_its_registry_is_gone(trials: Trials) -> None:
    names = ("never:1", "trials:never", f"trials@sha256:{'0' * 64}")
    orders = [trials.order(f"{trials.shipped.cluster.registry}/{name}") for name in names]
    with trials.launcher() as launcher:
        for order in orders:
            launcher.start(order)
        for order in orders:
            error = report_of_end(launcher, order.id).trouble
            assert (type(error), error and error.facts) == (ImageGone, {"image": order.image})
            launcher.stop(order.id)
    gone = "The environment was built, but is no longer there. Launch again to have it built anew."
    assert sentence(ImageGone(image="x")) == gone


def test_an_invalid_image_name_cannot_be_pulled(trials: Trials) -> None:
    error = trials.fails(image="Not/An:Image:name")
    assert isinstance(error, ImagePullFailed)
    assert "couldn't parse image name" in str(error.facts["why"])


def test_a_server_that_ends_at_its_start_is_reported_with_its_last_output(trials: Trials) -> None:
    error = trials.fails("crash")
    assert (type(error), str(error.facts["why"]).strip()) == (SessionDied, LAST_WORDS)
    assert sentence(error).endswith(f" Its last words:\n{LAST_WORDS}")


def test_an_image_without_a_jupyter_server_is_reported_with_a_remedy(trials: Trials) -> None:
    error = trials.fails(session_environment={"PATH": "/usr/bin:/bin"})
    assert isinstance(error, SessionDied)
    assert sentence(error).endswith("There is no Jupyter server in this image: install jupyterlab in it.")


def test_a_server_over_its_memory_limit_at_its_start_is_reported_with_the_limit(trials: Trials) -> None:
    error = trials.fails("greedy", memory_guarantee="10M", memory_limit="64M")
    assert (type(error), error.facts) == (SessionOutOfMemory, {"limit": "64M"})
    assert sentence(error).startswith("The session's server used more memory than it may (64M) before it answered")
