"""The place of a cluster on this machine. The cluster's number names all its parts, so two clusters never share any."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NUMBERS = range(60)
MARK = "BINDERY_TEST_CLUSTER"
FOLDERS = Path("/tmp")
PREFIX = "bindery-cluster-"
FIRST_PORT = 20000  # below those of outgoing connections: a port stays this cluster's while its server is stopped
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
        """Return the subnet of the Pods. Its range is reserved for benchmarks, so no network of the machine uses it."""
        return f"198.18.{self.number}.0/24"

    @property
    def host_address(self) -> str:
        return f"198.18.{self.number}.1"

    @property
    def pretended_subnet(self) -> str:
        """Return the subnet of kwok's Pods. No network uses its range."""
        return f"240.{self.number}.0.0/16"

    def port(self, name: str) -> int:
        return FIRST_PORT + 16 * self.number + PORTS.index(name)

    def is_free(self) -> bool:
        """Return True if this machine uses no part of the place."""
        return not self.folder.exists() and all(_can_listen(self.port(name)) for name in PORTS)


def existing_places() -> Iterator[Place]:
    """Yield the places that have a folder, made by any process, whether or not the cluster still runs."""
    for path in FOLDERS.glob(f"{PREFIX}*"):
        if path.name.removeprefix(PREFIX).isdigit():
            yield at(path)


def at(folder: Path) -> Place:
    """Return the place with this folder. Raise ValueError if the folder is not a cluster's."""
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
