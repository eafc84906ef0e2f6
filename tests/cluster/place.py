"""What a cluster has on this machine, all of it named by the cluster's number: two never share anything."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NUMBERS = range(60)
MARK = "BINDERY_TEST_CLUSTER"
FOLDERS = Path("/tmp")
PREFIX = "bindery-cluster-"
FIRST_PORT = 20000  # below those that outgoing connections take: a port stays ours while its server is stopped
PORTS = (
    "etcd",
    "etcd-peer",
    "api",
    "controllers",
    "scheduler",
    "kubelet",
    "kubelet-health",
    "registry",
    "gateway",
    "kwok",
)


@dataclass(frozen=True)
class Place:
    """Folder, ports, network and cgroup of one cluster. Its processes carry MARK with its folder in their environment."""

    number: int

    @property
    def folder(self) -> Path:
        return FOLDERS / f"{PREFIX}{self.number}"

    @property
    def bridge(self) -> str:
        return f"bindery{self.number}"

    @property
    def cgroup(self) -> str:
        return f"{PREFIX}{self.number}"

    @property
    def subnet(self) -> str:
        """Of the Pods; from a range that is kept for benchmarks, so that no network of the machine is there."""
        return f"198.18.{self.number}.0/24"

    @property
    def host_address(self) -> str:
        return f"198.18.{self.number}.1"

    @property
    def pretended_subnet(self) -> str:
        """Of kwok's Pods; from a range that nobody has."""
        return f"240.{self.number}.0.0/16"

    def port(self, name: str) -> int:
        return FIRST_PORT + 16 * self.number + PORTS.index(name)

    def is_free(self) -> bool:
        """Whether nothing of this machine is there."""
        return not self.folder.exists() and all(_can_listen(self.port(name)) for name in PORTS)


def taken() -> Iterator[Place]:
    """Those that have a folder, whoever made it and whether or not it still runs."""
    for path in FOLDERS.glob(f"{PREFIX}*"):
        if path.name.removeprefix(PREFIX).isdigit():
            yield at(path)


def at(folder: Path) -> Place:
    """The place that has this folder. Raises ValueError if it is no cluster's."""
    number = folder.name.removeprefix(PREFIX)
    if folder.parent != FOLDERS or not number.isdigit():
        raise ValueError(f"{folder} is of no cluster that `make cluster` started")
    return Place(int(number))


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
