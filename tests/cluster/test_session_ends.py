"""Tests of the ends of ready sessions on a real cluster. Each end has its own reason, told by a wait and at the next
look.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.errors import BinderyError, SessionEvicted, SessionOutOfMemory
from bindery.domain.sessions import Liveness
from bindery.web.errors.render import error_message
from tests.cluster.shipped import NAMESPACE
from tests.cluster.trials import Trials
from tests.serving.kernel import Session
from tests.serving.lab import TOKEN, until
from tests.serving.names import localhost_names

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

EAT = "kept = []\nwhile True: kept.append(b'x' * 1_000_000)"
# No process that takes memory is as large as the server, which the kernel therefore kills first.
EAT_TOGETHER = """
import subprocess
open('/proc/1/oom_score_adj', 'w').write('1000')
small = [subprocess.Popen(['python3', '-c', 'import time; kept = b"x" * 25_000_000; time.sleep(100)']) for _ in range(20)]
"""
FILL = """
import os
with open('full', 'wb') as file:
    for _ in range(100): file.write(os.urandom(1_000_000))
"""


@pytest.fixture(scope="module")
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    with trials.launcher(memory_limit="400M", storage_limit="50M") as launcher:
        yield launcher
    trials.shipped.remove_sessions()


def ready(launcher: KubernetesSessions, trials: Trials) -> tuple[str, Session]:
    """Start a session; return its id, and the session as a visitor has it."""
    order = trials.order()
    launcher.start(order)
    report = launcher.wait(order.id, TOKEN, 60)
    assert report.liveness is Liveness.READY, report
    return order.id, Session(report.url, TOKEN)


def end_of(launcher: KubernetesSessions, session: str) -> BinderyError | None:
    """Return the trouble that a wait reports about the session."""
    until(lambda: launcher.wait(session, TOKEN, 0).liveness is Liveness.GONE, 60)
    return launcher.wait(session, TOKEN, 0).trouble


def why(launcher: KubernetesSessions, session: str) -> str:
    """Return the reason that the next look reports."""
    (record,) = [each for each in launcher.list_sessions() if each.id == session]
    assert not record.alive
    return record.why


def test_a_server_that_exceeds_its_memory_limit_later_ends_with_that_reason(
    launcher: KubernetesSessions, trials: Trials
) -> None:
    session, server = ready(launcher, trials)
    server.leave_running(EAT_TOGETHER)
    trouble = end_of(launcher, session)
    assert (type(trouble), trouble and trouble.facts) == (SessionOutOfMemory, {"limit": "400M"})
    assert why(launcher, session) == "it used more memory than it may (400M)"


def test_an_out_of_memory_child_process_is_no_reason_for_a_later_shutdown(
    launcher: KubernetesSessions, trials: Trials
) -> None:
    session, server = ready(launcher, trials)
    code = f"import subprocess; print(subprocess.run(['python3', '-c', {EAT!r}]).returncode)"
    assert server.run(code) == "-9\n"
    server.ask("api/shutdown", "POST")
    assert end_of(launcher, session) is None
    assert why(launcher, session) == ""


def test_a_session_that_fills_its_disk_ends_with_that_reason(launcher: KubernetesSessions, trials: Trials) -> None:
    session, server = ready(launcher, trials)
    server.run(FILL)
    trouble = end_of(launcher, session)
    reason = "it used more disk than it may (50M)"
    assert (type(trouble), trouble and trouble.facts) == (SessionEvicted, {"why": reason})
    assert trouble is not None
    assert error_message(trouble).message == f"The cluster ended the session: {reason}. Launch again."
    assert why(launcher, session) == f"the cluster ended it: {reason}"


def test_a_session_evicted_by_an_operator_ends_with_that_reason(trials: Trials) -> None:
    with trials.launcher("mute") as launcher:
        order = trials.order()
        launcher.start(order)
        until(lambda: trials.shipped.pods(order.id)[0]["status"]["phase"] == "Running", 60)
        (pod,) = trials.shipped.pods(order.id)
        metadata = {"name": pod["metadata"]["name"], "namespace": NAMESPACE}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{metadata['name']}/eviction"
        trials.shipped.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction))
        trouble = end_of(launcher, order.id)
        assert (type(trouble), trouble and trouble.facts) == (SessionEvicted, {"why": "Eviction API: evicting"})
        until(lambda: not trials.shipped.pods(order.id), 60)
        assert_deleted(launcher, order.id)
        launcher.stop(order.id)


def test_a_session_whose_pod_is_deleted_during_the_wait_ends_as_evicted(trials: Trials) -> None:
    with trials.launcher("mute") as launcher, ThreadPoolExecutor(1) as beside:
        order = trials.order()
        launcher.start(order)
        waits = beside.submit(launcher.wait, order.id, TOKEN, 60)
        trials.shipped.kubectl("delete", "pods", "-l", f"bindery.session/id={order.id}")
        assert isinstance(waits.result().trouble, SessionEvicted)
        assert_deleted(launcher, order.id)
        launcher.stop(order.id)


def assert_deleted(launcher: KubernetesSessions, session: str) -> None:
    """Assert that the reason is reported although the Pod is gone."""
    trouble = end_of(launcher, session)
    assert (type(trouble), trouble and trouble.facts) == (SessionEvicted, {"why": "its Pod was deleted"})
    assert why(launcher, session) == "the cluster ended it: its Pod was deleted"
