"""The shipped manifests, applied to a test's cluster, and the launchers under the account that they make."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bindery.adapters.clock import SystemClock
from bindery.adapters.kubernetes.api import Cluster as Client
from bindery.adapters.kubernetes.launcher import KubernetesSessions, PublicAddress
from bindery.adapters.kubernetes.manifests import Making
from bindery.domain.resources import Resources
from bindery_local.kubeconfig_file import access_of
from tests.cluster.cluster import Cluster

ROOT = Path(__file__).parents[2]
NAMESPACE, GATEWAY, DOMAIN = "bindery-sessions", "sessions", "sessions.localhost"
NGINX = "docker.io/nginxinc/nginx-unprivileged"
"""Published where tests do not go; Debian's own nginx stands in for it."""
RESOURCES = Resources(memory_guarantee="100M", storage_guarantee="10M")


@dataclass(frozen=True)
class Shipped:
    """A cluster after `kubectl apply -k`.

    kubeconfig: of the account that Bindery has there.
    """

    cluster: Cluster
    kubeconfig: Path

    @property
    def address(self) -> str:
        """Return this cluster's value of `BINDERY_SESSIONS_URL`."""
        return f"http://{DOMAIN}:{self.cluster.gateway_port}"

    @property
    def settings(self) -> dict[str, str]:
        """Return settings for a local runtime with sessions on this cluster and images built for it."""
        return {
            "launcher": "kubernetes",
            "kubeconfig": str(self.kubeconfig),
            "sessions_url": self.address,
            "builder": "container",
            "container_tool": "buildah",
            "registry": f"http://{self.cluster.registry}/bindery",
            "memory_guarantee": RESOURCES.memory_guarantee,
            "storage_guarantee": RESOURCES.storage_guarantee,
        }

    def launcher(self, resources: Resources = RESOURCES, kubeconfig: Path | None = None) -> KubernetesSessions:
        """Return a launcher of its own, made as the settings would make it."""
        client = Client(access_of(str(kubeconfig or self.kubeconfig)), NAMESPACE)
        address = PublicAddress(self.address)
        return KubernetesSessions(client, Making(GATEWAY, address.domain, resources), address, SystemClock())

    def kubectl(self, *arguments: str, input: str = "") -> str:  # noqa: A002
        """Run kubectl as the administrator, in the sessions' namespace."""
        return self.cluster.kubectl(f"--namespace={NAMESPACE}", *arguments, input=input)

    def pods(self, session: str = "") -> list[dict[str, Any]]:
        """Return the Pods of all sessions, or of one session."""
        selector = f"bindery.session/id={session}" if session else "app.kubernetes.io/component=session"
        return list(json.loads(self.kubectl("get", "pods", "-o", "json", "-l", selector))["items"])

    @contextmanager
    def sessions(self) -> Iterator[KubernetesSessions]:
        """Provide a launcher. Its sessions end with it."""
        launcher = self.launcher()
        try:
            yield launcher
        finally:
            self.remove_sessions()
            launcher.close()

    def kill(self, session: str) -> None:
        """End the session's server as the kernel would."""
        (pod,) = self.pods(session)
        (container,) = pod["status"]["containerStatuses"]
        self.cluster.ctr("tasks", "kill", "--signal=SIGKILL", container["containerID"].removeprefix("containerd://"))

    def objects(self, session: str) -> list[str]:
        """Return all objects of a session, as `kind/name`."""
        kinds = "services,pods,httproutes,secrets"
        return self.kubectl("get", kinds, "-o", "name", "-l", f"bindery.session/id={session}").split()

    def remove_sessions(self) -> None:
        """Remove all objects of all sessions, and wait until they are gone."""
        selection = ("-l", "app.kubernetes.io/component=session", "--ignore-not-found")
        self.kubectl("delete", "pods", *selection, "--grace-period=1")
        self.kubectl("delete", "services", *selection)


def apply(cluster: Cluster) -> Shipped:
    """Apply the manifests as an operator would, by an overlay. The Gateway's port is the cluster's own setting."""
    listener = {"op": "replace", "path": "/spec/listeners/0/port", "value": cluster.gateway_port}
    image, _, tag = cluster.base_image.rpartition(":")
    with TemporaryDirectory(prefix="overlay-") as folder:
        overlay = {
            "resources": [os.path.relpath(ROOT / "infra" / "kubernetes", Path(folder).resolve())],
            "patches": [{"target": {"kind": "Gateway"}, "patch": json.dumps([listener])}],
            "images": [{"name": NGINX, "newName": image, "newTag": tag}],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", folder)
    return Shipped(cluster, cluster.kubeconfig_for("bindery", "bindery"))
