"""Cleanup of build processes that left their process group, identified by the mark in their environment (Linux)."""

import os
import signal
import time
from pathlib import Path

from bindery_builder.process.environment import MARK
from bindery_local.processes import DEAD, Process, everything, folder_of, send, variables_of


def kill_strays(folder: Path, seconds: float = 5) -> int:
    """Kill every process that has the build's mark, or whose working directory is in `folder`. Return the number of kills.

    Repeats until no such process can be killed, since a process may fork before it is killed. Stops after `seconds`.
    """
    count = 0
    until = time.monotonic() + seconds
    while True:
        strays = [
            status.process for status in everything() if status.state not in DEAD and _is_stray(status.process, folder)
        ]
        kills = sum(_kill(stray) for stray in strays)
        count += kills
        if not kills or time.monotonic() > until:
            return count
        time.sleep(0.01)


def _is_stray(process: Process, folder: Path) -> bool:
    if process.pid == os.getpid():
        return False
    if variables_of(process.pid).get(MARK.encode()) == os.fsencode(folder):
        return True
    working_directory = folder_of(process.pid)
    return working_directory is not None and working_directory.is_relative_to(folder)


def _kill(process: Process) -> bool:
    """Send SIGKILL to the process. Return False if the system refuses it, as for processes of other users."""
    try:
        send(process, signal.SIGKILL)
    except OSError:
        return False
    return True
