"""A cluster that runs on this machine, in the form that tests use."""

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import control_plane, images, kwok, node, registry
from tests.cluster.accounts import write_kubeconfig
from tests.cluster.daemons import Daemon, until
from tests.cluster.place import Place


@dataclass(frozen=True)
class Cluster:
    """Kubernetes with one node called `localhost`, a Gateway (class `traefik`) and a registry.

    Its API and Gateway listen on loopback; Services have no addresses of their own (no kube-proxy), so they are headless.
    """

    place: Place

    @property
    def folder(self) -> Path:
        """Return the folder with all logs, settings and data."""
        return self.place.folder

    @property
    def binaries(self) -> Path:
        return self.folder / "binaries"

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    @property
    def gateway_port(self) -> int:
        """Return the port of the Gateway on 127.0.0.1. A Gateway's listener has to name this port."""
        return self.place.port("gateway")

    @property
    def registry(self) -> str:
        """Return host and port of the registry, for pushes from this machine and pulls by the node. It uses plain
        HTTP.
        """
        return registry.address(self.place)

    @property
    def base_image(self) -> str:
        """Return the base image for sessions: Debian, git, Python, JupyterLab in /opt/venv, user 1000. The node has
        it already.
        """
        return f"{self.registry}/base:{images.TAG}"

    @property
    def host_address(self) -> str:
        """Return the address at which Pods reach this machine. It exists before the first Pod, so servers can listen
        on it.
        """
        return self.place.host_address

    def kubectl(self, *arguments: str, input: str = "") -> str:  # noqa: A002
        """Run kubectl as the administrator and return its output. Raise RuntimeError with its error output."""
        command = [str(self.binaries / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def ctr(self, *arguments: str) -> str:
        """Run containerd's client on the kubelet's images and containers. Raise CalledProcessError if it fails."""
        command = ["ctr", f"--address={self.folder / 'containerd.sock'}", "--namespace=k8s.io", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """Return a kubeconfig with a token of this existing ServiceAccount. The token is valid for a day."""
        token = self.kubectl("create", "token", service_account, f"--namespace={namespace}", "--duration=24h").strip()
        path = self.folder / f"{namespace}.{service_account}.kubeconfig"
        certificate = control_plane.certificate(self.place)
        return write_kubeconfig(path, control_plane.server(self.place), certificate, token, namespace)

    def stop_api_server(self) -> None:
        """Kill the API server at once, as when its machine fails. A requested end would wait for its watchers."""
        self._daemon("kube-apiserver").stop(signal.SIGKILL)

    def start_api_server(self) -> None:
        """Start the API server with its earlier port and data, and wait until it is ready."""
        daemon = self._daemon("kube-apiserver").start()
        until(lambda: control_plane.ready(self.place), [daemon])

    def stop_kubelet(self) -> None:
        """Stop the kubelet. Its containers run on."""
        self._daemon("kubelet").stop()

    def start_kubelet(self) -> None:
        """Start the kubelet and wait until it reports its health. It learns of its Pods a moment later."""
        daemon = self._daemon("kubelet").start()
        until(lambda: node.healthy(self.place), [daemon])

    def start_kwok(self, nodes: int) -> None:
        """Start pretended nodes with a taint and the label `type=kwok`. Pods that are put there (`kwok.placed()`) run
        at once.

        These Pods answer no requests, but their addresses are this machine's. A server on 0.0.0.0 answers for all of
        them.
        """
        kwok.start(self.place, self.kubectl, nodes)

    def _daemon(self, name: str) -> Daemon:
        return Daemon.noted(name, self.folder)
