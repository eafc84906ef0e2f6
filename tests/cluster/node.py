"""containerd and the kubelet, in a mount namespace of their own. Their mounts end with their last process."""

from contextlib import suppress
from pathlib import Path

import httpx

from tests.cluster import settings
from tests.cluster.daemons import Daemon
from tests.cluster.place import Place

# Files that they would write outside the cluster's folder go into that folder as well.
APART = """set -e
mount -t tmpfs tmpfs "$1/layers"
for place in /var /run; do
    mkdir -p "$1/layers$place/upper" "$1/layers$place/work"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$1/layers$place/upper,workdir=$1/layers$place/work" "$place"
done
exec containerd --config "$1/containerd.toml"
"""


def healthy(place: Place) -> bool:
    """Return True if the kubelet reports that it is healthy."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{place.port('kubelet-health')}/healthz", trust_env=False).is_success
    return False


def containerd(place: Place, registry: str) -> Daemon:
    folder = place.folder
    (folder / "layers").mkdir()
    settings.write("containerd.toml", folder / "containerd.toml", folder=folder, registry=registry)
    settings.write("hosts.toml", folder / "registries" / registry / "hosts.toml", registry=registry)
    settings.write(
        "cni.conflist",
        folder / "cni" / "bindery.conflist",
        folder=folder,
        bridge=place.bridge,
        subnet=place.subnet,
        host_address=place.host_address,
    )
    command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", APART, "sh", str(folder))
    return Daemon("containerd", folder, command)


def kubelet(place: Place, binaries: Path) -> Daemon:
    """Return the kubelet. containerd has to run before it starts."""
    folder = place.folder
    (folder / "resolv.conf").write_text(_resolvers())
    config = settings.write(
        "kubelet.yaml",
        folder / "kubelet.yaml",
        folder=folder,
        cgroup=place.cgroup,
        kubelet_port=place.port("kubelet"),
        kubelet_health_port=place.port("kubelet-health"),
    )
    command = [
        "nsenter",
        f"--mount=/proc/{Daemon.noted('containerd', folder).process.pid}/ns/mnt",
        binaries / "kubelet",
        f"--config={config}",
        f"--kubeconfig={folder / 'node.kubeconfig'}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet' / 'pki'}",
        "--hostname-override=localhost",
        f"--node-ip={place.host_address}",
    ]
    return Daemon("kubelet", folder, tuple(map(str, command)))


def _resolvers() -> str:
    """Return this machine's resolvers.

    If its own resolver listens on loopback, Pods do not reach it; then return the resolvers behind it.
    """
    configured, behind = Path("/etc/resolv.conf").read_text(), Path("/run/systemd/resolve/resolv.conf")
    return behind.read_text() if "127.0.0.53" in configured and behind.exists() else configured
