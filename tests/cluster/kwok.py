"""kwok: nodes and Pods that are only pretended, by the thousand."""

import json
from collections.abc import Callable

from tests.cluster import binaries
from tests.cluster.daemons import Daemon
from tests.cluster.place import Place

MANAGED = "type=kwok"
ROOM = {"cpu": "1000", "memory": "4Ti", "pods": "10000"}


def start(place: Place, kubectl: Callable[..., str], nodes: int) -> None:
    """Builds it first if that has not been done. Pods go there by `placed()`."""
    command = [
        binaries.kwok(),
        f"--kubeconfig={place.folder / 'admin.kubeconfig'}",
        f"--manage-nodes-with-label-selector={MANAGED}",
        "--manage-all-nodes=false",
        f"--server-address=127.0.0.1:{place.port('kwok')}",
    ]
    Daemon("kwok", place.folder, tuple(map(str, command))).start()
    listed = {"apiVersion": "v1", "kind": "List", "items": [_node(number) for number in range(nodes)]}
    kubectl("apply", "--filename=-", input=json.dumps(listed))
    kubectl("wait", "node", f"--selector={MANAGED}", "--for=condition=Ready", "--timeout=60s")


def placed() -> dict[str, object]:
    """What a Pod's spec needs to go to the pretended nodes, and to them alone."""
    toleration = {"key": "type", "value": "kwok", "effect": "NoSchedule"}
    return {"nodeSelector": {"type": "kwok"}, "tolerations": [toleration]}


def _node(number: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"kwok-{number}", "labels": {"type": "kwok"}},
        "spec": {"taints": [{"key": "type", "value": "kwok", "effect": "NoSchedule"}]},
        "status": {"allocatable": ROOM, "capacity": ROOM},
    }
