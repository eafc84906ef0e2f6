"""Tests that the test cluster has the properties of Kubernetes that other tests rely on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bindery_local.processes import marked
from tests.cluster import cgroups, claims
from tests.cluster.__main__ import main
from tests.cluster.claims import claim
from tests.cluster.clearing import clear
from tests.cluster.cluster import Cluster
from tests.cluster.place import MARK, Place, at
from tests.serving.lab import until

NAMESPACE = f"sessions-{os.getpid()}"  # a cluster of `make cluster` may still have the objects of the last run
HOST = f"one.{NAMESPACE}.example.org"
CRASH = """
import os, signal
from tests.cluster.start import start
cluster = start()
cluster.kubectl("run", "left", f"--image={cluster.base_image}", "--command", "--", "sleep", "1000")
cluster.kubectl("wait", "pod/left", "--for=condition=Ready", "--timeout=60s")
print(cluster.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def manifest(kind: str, name: str, version: str = "v1", **fields: object) -> dict[str, object]:
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def session(cluster: Cluster) -> list[dict[str, object]]:
    """Return a Gateway and one session behind it."""
    listener = {"name": "http", "port": cluster.gateway_port, "protocol": "HTTP"}
    command = ["jupyter", "lab", "--ip=0.0.0.0", "--IdentityProvider.token=", "--ServerApp.allow_remote_access=true"]
    rule = {"backendRefs": [{"name": "one", "port": 8888}]}
    gateway_api = "gateway.networking.k8s.io/v1"
    return [
        manifest("Gateway", "bindery", gateway_api, spec={"gatewayClassName": "traefik", "listeners": [listener]}),
        manifest("Pod", "one", spec={"containers": [{"name": "lab", "image": cluster.base_image, "command": command}]}),
        manifest("Service", "one", spec={"clusterIP": "None", "selector": {"app": "one"}, "ports": [{"port": 8888}]}),
        manifest(
            "HTTPRoute",
            "one",
            gateway_api,
            spec={"parentRefs": [{"name": "bindery"}], "hostnames": [HOST], "rules": [rule]},
        ),
    ]


def apply(cluster: Cluster, *items: dict[str, object]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    cluster.kubectl("apply", f"--namespace={NAMESPACE}", "--filename=-", input=json.dumps(listed))


@pytest.fixture(scope="module")
def sessions(cluster: Cluster) -> Iterator[Cluster]:
    """Provide the cluster with one session in NAMESPACE."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    until(lambda: cluster.kubectl("get", "serviceaccount", f"--namespace={NAMESPACE}", "--output=name"))
    apply(cluster, *session(cluster))
    cluster.kubectl("wait", "pod/one", f"--namespace={NAMESPACE}", "--for=condition=Ready", "--timeout=60s")
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def answers(cluster: Cluster) -> bool:
    """Return True if the session's JupyterLab answers through the Gateway."""
    address = f"http://127.0.0.1:{cluster.gateway_port}/api/status"
    with suppress(httpx.HTTPError):
        return httpx.get(address, headers={"Host": HOST}, trust_env=False).is_success
    return False


def has_logs(cluster: Cluster) -> bool:
    """Return True if the session's logs can be read."""
    with suppress(RuntimeError):
        return "Jupyter Server" in cluster.kubectl("logs", "one", f"--namespace={NAMESPACE}")
    return False


def test_a_session_answers_on_its_host_name_through_the_gateway(sessions: Cluster) -> None:
    until(lambda: answers(sessions))


def test_logs_of_a_session_can_be_read(sessions: Cluster) -> None:
    assert has_logs(sessions)


def test_the_session_user_has_git_and_no_privileges(sessions: Cluster) -> None:
    inside = ("exec", "one", f"--namespace={NAMESPACE}", "--", "sh", "-c", "git init --quiet x && id --user && pwd")
    assert sessions.kubectl(*inside).split() == ["1000", "/home/jovyan"]


def test_pods_reach_servers_on_this_machine(sessions: Cluster) -> None:
    listen = [
        "-c",
        "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True); s.accept()",
    ]
    with subprocess.Popen(
        [sys.executable, *listen, sessions.host_address], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        connect = f"import socket; socket.create_connection(('{sessions.host_address}', {server.stdout.readline()}), 5)"
        sessions.kubectl("exec", "one", f"--namespace={NAMESPACE}", "--", "python3", "-c", connect)
    assert server.returncode == 0


def test_an_image_pushed_to_the_registry_runs(sessions: Cluster, tmp_path: Path) -> None:
    buildah = ["unshare", "--mount", "buildah", "--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run")]
    image = f"{sessions.registry}/pushed:1"
    for command in (["pull"], ["push"]):
        source, target = f"docker://{sessions.registry}/pause:1", f"docker://{image}"
        words = [source] if command == ["pull"] else [f"{sessions.registry}/pause:1", target]
        subprocess.run([*buildah, *command, "--quiet", "--tls-verify=false", *words], check=True, capture_output=True)
    apply(sessions, manifest("Pod", "pushed", spec={"containers": [{"name": "pushed", "image": image}]}))
    sessions.kubectl("wait", "pod/pushed", f"--namespace={NAMESPACE}", "--for=condition=Ready", "--timeout=30s")


def test_owned_objects_are_deleted_with_their_owner(sessions: Cluster) -> None:
    apply(sessions, manifest("ConfigMap", "owner"))
    config_map = json.loads(sessions.kubectl("get", "configmap", "owner", f"--namespace={NAMESPACE}", "--output=json"))
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": config_map["metadata"]["uid"]}
    owned = manifest("ConfigMap", "owned")
    apply(sessions, {**owned, "metadata": {"name": "owned", "ownerReferences": [owner]}})
    sessions.kubectl("delete", "configmap", "owner", f"--namespace={NAMESPACE}")
    sessions.kubectl("wait", "configmap/owned", f"--namespace={NAMESPACE}", "--for=delete", "--timeout=20s")


def test_a_service_account_kubeconfig_has_only_the_rights_of_its_account(sessions: Cluster) -> None:
    sessions.kubectl("create", "serviceaccount", "narrow", f"--namespace={NAMESPACE}")
    sessions.kubectl("create", "role", "reader", "--verb=get", "--resource=pods", f"--namespace={NAMESPACE}")
    bind = ("--role=reader", f"--serviceaccount={NAMESPACE}:narrow", f"--namespace={NAMESPACE}")
    sessions.kubectl("create", "rolebinding", "narrow", *bind)
    narrow = f"--kubeconfig={sessions.kubeconfig_for('narrow', NAMESPACE)}"
    assert sessions.kubectl(narrow, "get", "pod", "one", "--output=name") == "pod/one\n"
    with pytest.raises(RuntimeError, match="cannot delete"):
        sessions.kubectl(narrow, "delete", "pod", "one")


def test_a_restarted_api_server_keeps_all_objects(sessions: Cluster) -> None:
    sessions.stop_api_server()
    with pytest.raises(RuntimeError, match="refused"):
        sessions.kubectl("get", "pods")
    assert answers(sessions)
    sessions.start_api_server()
    assert sessions.kubectl("get", "pod", "one", f"--namespace={NAMESPACE}", "--output=name") == "pod/one\n"


def test_sessions_answer_while_the_kubelet_is_down(sessions: Cluster) -> None:
    sessions.stop_kubelet()
    assert answers(sessions)
    sessions.start_kubelet()
    until(lambda: has_logs(sessions))


@pytest.mark.usefixtures("cluster")
def test_a_start_removes_remains_of_a_crashed_one() -> None:
    before = traces()
    crashed = subprocess.run([sys.executable, "-c", CRASH], stdout=subprocess.PIPE, text=True)
    place = at(Path(crashed.stdout.strip()))
    assert len(left_of(place)) > 10
    own_place = claim()
    assert own_place == place
    clear(own_place)
    assert left_of(place) == []
    assert traces() == before


@pytest.mark.usefixtures("cluster")
def test_a_persistent_cluster_is_reused_until_it_is_shut_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = traces()
    monkeypatch.setattr(claims, "CHECKOUT", str(tmp_path))  # this checkout may have a cluster of its own
    outputs = [_output(monkeypatch, capsys, "up") for _ in range(2)]
    assert outputs[0] == outputs[1]
    (place,) = claims.of_this_checkout()
    assert f"BINDERY_TEST_KUBECONFIG={Cluster(place).kubeconfig}\n" in outputs[0]
    assert Cluster(place).kubectl("get", "nodes", "--output=name") == "node/localhost\n"
    _output(monkeypatch, capsys, "down")
    assert left_of(place) == []
    assert traces() == before


def _output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str) -> str:
    """Return the output that `make` shows of a command."""
    monkeypatch.setattr(sys, "argv", ["cluster", command])
    assert main() is None
    return capsys.readouterr().out


def left_of(place: Place) -> list[str]:
    """Return in words the remains of a cluster that was removed."""
    links = subprocess.run(["ip", "-oneline", "link"], capture_output=True, text=True).stdout.splitlines()
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True).stdout.splitlines()
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    names = (str(place.folder), f"{place.bridge} ", f"{place.bridge}:", f" {place.subnet} ")
    return [
        *(line for line in (*links, *rules, *mounts) if any(name in line for name in names)),
        *(
            f"process {process.pid}"
            for process, folder in marked(MARK.encode())
            if folder == str(place.folder).encode()
        ),
        *(f"process {pid} in a cgroup" for pid in cgroups.processes(place)),
        *(str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{place.cgroup}")),
        *(str(path) for path in [place.folder] if path.exists()),
    ]


def traces() -> list[str]:
    """Return the existing folders that Kubernetes usually leaves outside a folder of its own."""
    places = (
        "/run/containerd",
        "/run/netns",
        "/var/lib/cni",
        "/var/lib/kubelet",
        "/var/log/containers",
        "/var/log/pods",
    )
    return [place for place in (*places, "/etc/cni", "/opt/cni", "/opt/containerd") if Path(place).exists()]
