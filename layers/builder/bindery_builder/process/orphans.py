"""Cleanup of build processes that left their process group, identified by the mark in their environment (Linux)."""

import os
import signal
import time
from pathlib import Path

from bindery_builder.process.environment import MARK

_PROC = Path("/proc")


def end_strays(folder: Path, seconds: float = 5) -> int:
    """Kill every process that has the build's mark or works in `folder`. Return how many were found.

    Repeats until no such process is left, since a process may fork before it is killed. Gives up after `seconds`.
    """
    count = 0
    until = time.monotonic() + seconds
    while True:
        killed = [pid for pid in _pids() if _end(pid, folder)]
        count += len(killed)
        if not killed or time.monotonic() > until:
            return count
        time.sleep(0.01)


def _pids() -> list[int]:
    if not _PROC.is_dir():  # not Linux: only process groups are ended
        return []
    own = os.getpid()
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal() and int(entry.name) != own]


def _end(pid: int, folder: Path) -> bool:
    """Kill the process if it belongs to the build. Its pidfd is held during the check, so that its pid cannot be reused."""
    if not _belongs(pid, folder):
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _belongs(pid, folder):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _belongs(pid: int, folder: Path) -> bool:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes()
        if f"{MARK}={folder}".encode() in variables.split(b"\0"):
            return True
        return (_PROC / str(pid) / "cwd").readlink().is_relative_to(folder)
    except OSError:  # ended, owned by another user, or a zombie
        return False
