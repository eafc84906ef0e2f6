"""A cluster that runs on this machine, as tests have it in their hands."""

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
        """Logs, settings, data: all of it."""
        return self.place.folder

    @property
    def binaries(self) -> Path:
        return self.folder / "binaries"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def gateway_port(self) -> int:
        """Where the Gateway answers on 127.0.0.1; a Gateway's listener has to name this port."""
        return self.place.port("gateway")

    @property
    def registry(self) -> str:
        """Host and port, for pushes from this machine and for the node's pulls; plain HTTP."""
        return registry.address(self.place)

    @property
    def base_image(self) -> str:
        """For sessions: Debian, git, Python, JupyterLab in /opt/venv, user 1000; the node has it already."""
        return f"{self.registry}/base:{images.TAG}"

    @property
    def host_address(self) -> str:
        """Where Pods reach this machine; it is there before the first Pod, to listen on."""
        return self.place.host_address

    def kubectl(self, *arguments: str, input: str = "") -> str:  # noqa: A002
        """As the administrator; answers its output. Raises RuntimeError with what it said."""
        command = [str(self.binaries / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def ctr(self, *arguments: str) -> str:
        """containerd's client, where the kubelet's images and containers are. Raises CalledProcessError."""
        command = ["ctr", f"--address={self.folder / 'containerd.sock'}", "--namespace=k8s.io", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """A kubeconfig with a day's token of this ServiceAccount, which is there already."""
        token = self.kubectl("create", "token", service_account, f"--namespace={namespace}", "--duration=24h").strip()
        path = self.folder / f"{namespace}.{service_account}.kubeconfig"
        certificate = control_plane.certificate(self.place)
        return write_kubeconfig(path, control_plane.server(self.place), certificate, token, namespace)

    def stop_api_server(self) -> None:
        """At once, as when its machine fails: asked to, it would wait for its watchers."""
        self._daemon("kube-apiserver").stop(signal.SIGKILL)

    def start_api_server(self) -> None:
        """With the same port and data; until it is ready."""
        daemon = self._daemon("kube-apiserver").start()
        until(lambda: control_plane.ready(self.place), [daemon])

    def stop_kubelet(self) -> None:
        """Its containers run on."""
        self._daemon("kubelet").stop()

    def start_kubelet(self) -> None:
        """Until it says that it is healthy; it learns of its Pods a moment later."""
        daemon = self._daemon("kubelet").start()
        until(lambda: node.healthy(self.place), [daemon])

    def start_kwok(self, nodes: int) -> None:
        """Pretended nodes, tainted and labelled `type=kwok`; Pods that are put there (`kwok.placed()`) run at once.

        They answer nothing, but their addresses are this machine's: a server on 0.0.0.0 answers for all of them.
        """
        kwok.start(self.place, self.kubectl, nodes)

    def _daemon(self, name: str) -> Daemon:
        return Daemon.noted(name, self.folder)
