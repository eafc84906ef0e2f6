"""The cgroups that the kubelet and its containers are in, in every hierarchy of this machine."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster.place import Place

HIERARCHIES = Path("/sys/fs/cgroup")


def make(place: Place) -> None:
    _enable_controllers()
    for root in _roots():
        with suppress(OSError):  # a hierarchy without write permission
            (root / place.cgroup).mkdir(exist_ok=True)


def processes(place: Place) -> Iterator[int]:
    """Yield the numbers of all processes in the cluster's containers."""
    for folder in _folders(place):
        with suppress(OSError):
            yield from map(int, (folder / "cgroup.procs").read_text().split())


def remove(place: Place) -> None:
    """Remove the cluster's cgroups. No process may run in them any more."""
    for folder in _folders(place):
        with suppress(FileNotFoundError):
            folder.rmdir()


def _enable_controllers() -> None:
    """Enable the controllers for child cgroups. In version 2 a cgroup gets its controllers from its parent."""
    with suppress(OSError):
        for controller in (HIERARCHIES / "cgroup.controllers").read_text().split():
            (HIERARCHIES / "cgroup.subtree_control").write_text(f"+{controller}")


def _folders(place: Place) -> Iterator[Path]:
    """Yield the folders of the cluster's cgroups, innermost first."""
    for root in _roots():
        for folder, _, _ in os.walk(root / place.cgroup, topdown=False):
            yield Path(folder)


def _roots() -> list[Path]:
    if (HIERARCHIES / "cgroup.controllers").exists():
        return [HIERARCHIES]
    return [path for path in HIERARCHIES.iterdir() if path.is_dir() and not path.is_symlink()]
