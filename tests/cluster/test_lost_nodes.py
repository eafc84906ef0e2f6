"""Tests of a node that goes away on a real cluster. Its sessions end with that reason, and no other work has to wait."""

import json
import time

import pytest

from bindery.adapters.kubernetes import launcher as module
from bindery.adapters.kubernetes import manifests
from bindery.domain.errors import NodeLost
from bindery.domain.sessions import Liveness
from bindery.web.errors.render import error_message
from tests.cluster.changes import another_node
from tests.cluster.trials import Trials
from tests.serving.lab import TOKEN, until


def test_sessions_of_a_lost_node_end_with_it(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "NODE_LOST_SECONDS", 1)
    monkeypatch.setattr(module, "END_SECONDS", 0)
    order, cluster = trials.order(), trials.shipped.cluster
    with trials.launcher("mute") as launcher, another_node(trials.shipped) as renew:
        launcher.start(order)
        until(lambda: trials.shipped.pods(order.id)[0]["status"]["phase"] == "Running", 60)
        cluster.stop_kubelet()
        try:
            report, end = launcher.wait(order.id, TOKEN, 0), time.monotonic() + 90
            while report.liveness is Liveness.STARTING and time.monotonic() < end:
                renew()
                report = launcher.wait(order.id, TOKEN, 4)
            assert (report.liveness, type(report.trouble)) == (Liveness.GONE, NodeLost)
            assert error_message(NodeLost()).message == "The machine that the session ran on went away. Launch again."
            (record,) = [each for each in launcher.list_sessions() if each.id == order.id]
            assert (record.alive, record.why) == (False, "the machine that it ran on went away")
            launcher.stop(order.id)
            assert launcher.wait(order.id, TOKEN, 0).liveness is Liveness.GONE
            assert order.id not in {each.id for each in launcher.list_sessions()}
            assert trials.shipped.pods(order.id), "its mark stays until the node is heard of"
        finally:
            cluster.start_kubelet()
        until(lambda: not trials.shipped.pods(order.id), 60)
        until(lambda: "taints" not in json.loads(cluster.kubectl("get", "node", "localhost", "-o", "json"))["spec"], 60)
