"""Removal of a cluster in any state. Its place leads to all its remains."""

import shutil
import signal
import time
from collections.abc import Iterator

from bindery_local.processes import Process, marked, send, status_of
from tests.cluster import cgroups, network
from tests.cluster.place import MARK, Place

PATIENCE = 30.0


def clear(place: Place) -> None:
    """Remove all remains of a cluster. Raise TimeoutError with the processes that do not end."""
    _end_processes(place)  # mounts and network namespaces end with the processes
    network.remove(place)
    cgroups.remove(place)
    shutil.rmtree(place.folder, ignore_errors=True)


def _end_processes(place: Place) -> None:
    until = time.monotonic() + PATIENCE
    while remaining := set(_processes(place)):
        if time.monotonic() > until:
            raise TimeoutError(f"do not end: {sorted(process.pid for process in remaining)}")
        for process in remaining:
            send(process, signal.SIGKILL, 1)


def _processes(place: Place) -> Iterator[Process]:
    yield from (process for process, folder in marked(MARK.encode()) if folder == str(place.folder).encode())
    for pid in cgroups.processes(place):
        if (status := status_of(pid)) is not None:
            yield status.process
