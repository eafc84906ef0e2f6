"""kwok: thousands of pretended nodes and Pods."""

import json
from collections.abc import Callable

from tests.cluster import binaries, network
from tests.cluster.daemons import Daemon, until
from tests.cluster.place import Place

MANAGED = "type=kwok"
ROOM = {"cpu": "1000", "memory": "4Ti", "pods": "10000"}


def start(place: Place, kubectl: Callable[..., str], nodes: int) -> None:
    """Start kwok, and build it first if necessary. Pods go to its nodes by `placed()`."""
    built = binaries.kwok()
    network.answer_for_pretended(place)
    command = [
        built / "kwok",
        f"--config={built / binaries.STAGES}",
        f"--kubeconfig={place.folder / 'admin.kubeconfig'}",
        f"--manage-nodes-with-label-selector={MANAGED}",
        "--node-lease-duration-seconds=8",
        f"--cidr={place.pretended_subnet}",
        f"--server-address=127.0.0.1:{place.port('kwok')}",
    ]
    daemon = Daemon("kwok", place.folder, tuple(map(str, command))).start()
    listed = {"apiVersion": "v1", "kind": "List", "items": [_node(number) for number in range(nodes)]}
    kubectl("apply", "--filename=-", input=json.dumps(listed))
    selected = (
        "get",
        "node",
        f"--selector={MANAGED}",
        "--output=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}",
    )
    until(lambda: kubectl(*selected).split() == ["True"] * nodes, [daemon])


def placed() -> dict[str, object]:
    """Return the part of a Pod's spec that puts it on the pretended nodes, and only there."""
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
