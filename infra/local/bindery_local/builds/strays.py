"""Cleanup of build processes that left their process group, identified by the mark in their environment (Linux)."""

import os
import signal
import time
from pathlib import Path

from bindery_builder.process.environment import MARK
from bindery_local.processes import DEAD, Process, everything, folder_of, send, variables_of


def end_strays(folder: Path, seconds: float = 5) -> int:
    """Kill every process that has the build's mark or works in `folder`. Return how many were found.

    Repeats until no such process is left, since a process may fork before it is killed. Gives up after `seconds`.
    """
    count = 0
    until = time.monotonic() + seconds
    while True:
        strays = [
            status.process for status in everything() if status.state not in DEAD and _belongs(status.process, folder)
        ]
        killed = [stray for stray in strays if _kill(stray)]
        count += len(killed)
        if not killed or time.monotonic() > until:
            return count
        time.sleep(0.01)


def _belongs(process: Process, folder: Path) -> bool:
    if process.pid == os.getpid():
        return False
    if variables_of(process.pid).get(MARK.encode()) == os.fsencode(folder):
        return True
    place = folder_of(process.pid)
    return place is not None and place.is_relative_to(folder)


def _kill(process: Process) -> bool:
    """Kill the process. Return False if it belongs to another user."""
    try:
        send(process, signal.SIGKILL)
    except OSError:
        return False
    return True
