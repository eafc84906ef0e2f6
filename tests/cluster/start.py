"""The start of a cluster."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import binaries, cgroups, control_plane, gateway, images, network, node, registry
from tests.cluster.claims import claim
from tests.cluster.clearing import clear
from tests.cluster.cluster import Cluster
from tests.cluster.daemons import Daemon, until
from tests.cluster.place import Place


def start() -> Cluster:
    """Start a cluster of this process, after building the parts that are not built yet. If it does not start, remove
    it.
    """
    ready, storage = binaries.binaries(), images.images()
    place = claim()
    try:
        return _start(place, ready, storage)
    except BaseException:
        clear(place)
        raise


@contextmanager
def running() -> Iterator[Cluster]:
    """Provide a cluster while the block lasts."""
    cluster = start()
    try:
        yield cluster
    finally:
        clear(cluster.place)


def _start(place: Place, ready: Path, storage: Path) -> Cluster:
    cluster = Cluster(place)
    cluster.binaries.symlink_to(ready)
    network.make(place)
    cgroups.make(place)
    etcd = control_plane.etcd(place, ready).start()
    api = control_plane.api_server(place, ready).start()
    pulls_from = registry.registry(place.folder, cluster.registry, storage).start()
    containerd = node.containerd(place, cluster.registry).start()
    with ThreadPoolExecutor() as beside:
        pulling = beside.submit(_pull, cluster, [pulls_from, containerd])
        until(lambda: control_plane.ready(place), [etcd, api])
        others = [part(place, ready).start() for part in (control_plane.controller_manager, control_plane.scheduler)]
        kubelet = node.kubelet(place, ready).start()
        cluster.kubectl("create", f"--filename={ready / binaries.DEFINITIONS}")
        cluster.kubectl("create", "--filename=-", input=json.dumps(gateway.CLASS))
        others.append(gateway.traefik(place, ready).start())
        until(lambda: _is_up(cluster), [*others, kubelet, containerd])
        pulling.result()
    return cluster


def _pull(cluster: Cluster, daemons: list[Daemon]) -> None:
    """Pull the images, so that the first Pod does not wait for its image."""
    until(lambda: _answers(cluster), daemons)
    for image in (f"{cluster.registry}/pause:{images.TAG}", cluster.base_image):
        cluster.ctr("images", "pull", "--plain-http", image)


def _answers(cluster: Cluster) -> bool:
    try:
        cluster.ctr("version")
    except subprocess.CalledProcessError:
        return False
    return images.listens(cluster.registry)


def _is_up(cluster: Cluster) -> bool:
    """Return True if the node takes Pods, the Pods' account exists, and the Gateway routes."""
    names = ["node/localhost", "gatewayclass/traefik", "serviceaccount/default"]
    items = json.loads(cluster.kubectl("get", "--ignore-not-found", "--output=json", *names) or "{}").get("items", [])
    true = {
        condition["type"]
        for item in items
        for condition in item.get("status", {}).get("conditions", [])
        if condition["status"] == "True"
    }
    return len(items) == len(names) and true >= {"Ready", "Accepted"}
