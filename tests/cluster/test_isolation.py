"""Tests of a session's isolation on a real cluster: the secrecy of its token, its rights, and its reach to its
neighbour.
"""

from dataclasses import dataclass

import httpx
import pytest

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.sessions import Liveness
from tests.cluster.trials import Trials
from tests.serving.kernel import Session
from tests.serving.lab import TOKEN, KernelDiedError, kernel_of, until
from tests.serving.names import localhost_names

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

EAT = "kept = []\nwhile True: kept.append(b'x' * 1_000_000)"
ARGUMENTS = "from pathlib import Path\nfor path in Path('/proc').glob('[0-9]*/cmdline'): print(path.read_bytes())"
RIGHTS = """
from pathlib import Path
status = dict(line.split(':\\t') for line in Path('/proc/self/status').read_text().splitlines())
print(*(status[name].split()[0] for name in ('Uid', 'NoNewPrivs', 'Seccomp', 'CapEff', 'CapBnd')))
"""


@dataclass(frozen=True)
class Running:
    """A session that has become ready."""

    id: str
    server: Session


def ready(launcher: KubernetesSessions, trials: Trials) -> Running:
    order = trials.order()
    launcher.start(order)
    report = launcher.wait(order.id, TOKEN, 60)
    assert report.liveness is Liveness.READY, report
    return Running(order.id, Session(report.url, TOKEN))


@pytest.fixture(scope="module")
def session(launcher: KubernetesSessions, trials: Trials) -> Running:
    """Provide a session for tests that change no state."""
    return ready(launcher, trials)


def test_the_token_is_hidden_without_rights_to_secrets(session: Running, trials: Trials) -> None:
    kinds = "pods,services,httproutes,endpointslices,events"
    for output in (
        trials.shipped.kubectl("get", kinds, "-o", "yaml"),
        trials.shipped.kubectl("describe", "pods", "-l", f"bindery.session/id={session.id}"),
    ):
        assert session.id in output
        assert TOKEN not in output


def test_the_token_is_in_no_log_and_no_termination_message(launcher: KubernetesSessions, trials: Trials) -> None:
    running = ready(launcher, trials)
    assert running.server.answers()
    assert httpx.get(f"{running.server.url}lab?token={TOKEN}", follow_redirects=True, trust_env=False).is_success
    assert httpx.get(f"{running.server.url}not-there?token={TOKEN}", trust_env=False).status_code == 404
    (pod,) = trials.shipped.pods(running.id)
    logged = trials.shipped.kubectl("logs", pod["metadata"]["name"])
    assert "Jupyter Server" in logged
    assert "/not-there?token=" in logged
    assert TOKEN not in logged
    trials.shipped.kill(running.id)
    until(lambda: trials.shipped.pods(running.id)[0]["status"]["phase"] == "Failed", 60)
    output = trials.shipped.kubectl("get", "pod", pod["metadata"]["name"], "-o", "yaml")
    assert "Jupyter Server" in output, "its last words"
    assert TOKEN not in output
    launcher.stop(running.id)


def test_the_token_is_in_no_argument_list(session: Running) -> None:
    output = session.server.run(ARGUMENTS)
    assert "bindery-lab.py" in output
    assert TOKEN not in output


def test_a_session_has_no_machine_privileges_and_cannot_gain_any(session: Running) -> None:
    assert session.server.run(RIGHTS) == "1000 1 2 0000000000000000 0000000000000000\n"


def test_a_session_has_no_cluster_credentials(session: Running) -> None:
    output = session.server.run("import os; print(os.path.exists('/var/run/secrets'), *os.environ)")
    exists, *variables = output.split()
    assert exists == "False"
    assert not [name for name in variables if name.endswith("_SERVICE_HOST") and name != "KUBERNETES_SERVICE_HOST"]


def test_a_pod_with_more_privileges_is_refused_in_the_sessions_namespace(trials: Trials) -> None:
    image = f"--image={trials.shipped.cluster.base_image}"
    with pytest.raises(RuntimeError, match='violates PodSecurity "restricted'):
        trials.shipped.kubectl("run", "greedy", image, "--dry-run=server")


def test_a_kernel_over_its_memory_limit_is_killed_without_effect_on_other_kernels(
    launcher: KubernetesSessions, trials: Trials, session: Running
) -> None:
    neighbour = ready(launcher, trials)
    second, first = kernel_of(neighbour.server.url), kernel_of(session.server.url)
    for kernel in (second, first):
        kernel.run("kept = 42")
    # The server says this when it finds the kernel dead. The state that its API tells may stay "busy" for ever:
    # a kernel that died within ten seconds of its start comes back on ports that are not watched.
    with pytest.raises(KernelDiedError):
        first.run(EAT)
    assert kernel_of(session.server.url).run("print(6 * 7)") == "42\n", "the session goes on"
    assert second.run("print(kept)") == "42\n"
    alive = {each.id: each.alive for each in launcher.list_sessions()}
    assert alive[session.id]
    assert alive[neighbour.id]
