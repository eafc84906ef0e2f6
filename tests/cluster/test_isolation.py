"""What a session cannot do, and what nobody sees of it."""

from collections.abc import Iterator

import httpx
import pytest

from bindery.adapters.sessions.kubernetes import KubernetesSessions
from bindery.domain.sessions import Liveness
from tests.cluster.shipped import Shipped
from tests.serving.lab import TOKEN, Kernel, authorized, kernel_of, order_of, until
from tests.serving.names import localhost_names

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

ME = """
import os, pathlib
told = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
print(os.getuid(), *(told[name].strip() for name in ('NoNewPrivs', 'Seccomp', 'CapEff')))
print(pathlib.Path('/var/run/secrets/kubernetes.io').exists())
print([name for name in os.environ if '_SERVICE_' in name and not name.startswith('KUBERNETES_')])
"""
COMMANDS = """
import pathlib
print([p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')])
"""
GREEDY = "kept = []\nwhile True: kept.append(bytearray(10_000_000))"


@pytest.fixture(scope="module")
def launcher(shipped: Shipped) -> Iterator[KubernetesSessions]:
    with shipped.sessions() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def urls(shipped: Shipped, launcher: KubernetesSessions) -> dict[str, str]:
    """Two visitors' sessions."""
    found = {}
    for session in ("mine", "theirs"):
        launcher.start(order_of(session, image=shipped.cluster.base_image))
        report = launcher.wait(session, TOKEN, 60)
        assert report.liveness is Liveness.READY, report
        found[session] = report.url
    return found


@pytest.fixture
def kernel(urls: dict[str, str]) -> Kernel:
    return kernel_of(urls["mine"])


def test_no_privilege_no_credential_no_neighbour_is_in_a_session(kernel: Kernel) -> None:
    assert kernel.run(ME) == "1000 1 2 0000000000000000\nFalse\n[]\n"


def test_whoever_may_not_read_secrets_sees_no_token(shipped: Shipped, urls: dict[str, str], kernel: Kernel) -> None:
    (pod,) = (each["metadata"]["name"] for each in shipped.pods("mine"))
    assert urls
    for seen in (
        shipped.kubectl("get", "pod", pod, "-o", "yaml"),
        shipped.kubectl("describe", "pod", pod),
        shipped.kubectl("get", "services,httproutes", "-o", "yaml"),
        shipped.kubectl("logs", pod),
        kernel.run(COMMANDS),
    ):
        assert "jupyter" in seen.lower() or "session-mine" in seen
        assert TOKEN not in seen


def test_pods_that_ask_for_more_are_not_admitted(shipped: Shipped) -> None:
    plain = {"--image": "x", "--restart": "Never", "--dry-run": "server"}
    with pytest.raises(RuntimeError, match='violates PodSecurity "restricted'):
        shipped.kubectl("run", "root", *(f"{name}={value}" for name, value in plain.items()))


def test_a_cell_that_takes_too_much_memory_ends_alone(
    shipped: Shipped, urls: dict[str, str], launcher: KubernetesSessions, kernel: Kernel
) -> None:
    neighbour = kernel_of(urls["theirs"])
    neighbour.run("kept = 'safe'")
    before = shipped.pods("mine")[0]["status"]["containerStatuses"][0]["containerID"]
    with kernel.running(GREEDY):
        until(lambda: state_of(urls["mine"], kernel) in ("restarting", "autorestarting", "starting", "dead"), 60)
    until(lambda: state_of(urls["mine"], kernel) in ("idle", "starting"), 60)
    assert kernel.run("print('here again')") == "here again\n"
    assert neighbour.run("print(kept)") == "safe\n"
    assert shipped.pods("mine")[0]["status"]["containerStatuses"][0]["containerID"] == before
    assert launcher.wait("mine", TOKEN, 10).liveness is Liveness.READY


def state_of(url: str, kernel: Kernel) -> str:
    """A kernel's state, as its server has it."""
    answer = httpx.get(f"{url}api/kernels/{kernel.id}", headers=authorized(), timeout=30, trust_env=False)
    return str(answer.json().get("execution_state", "dead"))
