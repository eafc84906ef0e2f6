"""Takes a cluster away, whatever state it is in: all that is left of it is found by its place."""

import shutil
import signal
import time
from collections.abc import Iterator

from bindery_local.sessions.processes import Process, marked, send, status_of
from tests.cluster import cgroups, network
from tests.cluster.place import MARK, Place

PATIENCE = 30.0


def clear(place: Place) -> None:
    """Afterwards nothing is left. Raises TimeoutError naming the processes that do not end."""
    _end_processes(place)  # mounts and network namespaces end with them
    network.remove(place)
    cgroups.remove(place)
    shutil.rmtree(place.folder, ignore_errors=True)


def _end_processes(place: Place) -> None:
    until = time.monotonic() + PATIENCE
    while left := set(_processes(place)):
        if time.monotonic() > until:
            raise TimeoutError(f"do not end: {sorted(process.pid for process in left)}")
        for process in left:
            send(process, signal.SIGKILL, 1)


def _processes(place: Place) -> Iterator[Process]:
    yield from (process for process, folder in marked(MARK.encode()) if folder == str(place.folder).encode())
    for pid in cgroups.processes(place):
        if (status := status_of(pid)) is not None:
            yield status.process
