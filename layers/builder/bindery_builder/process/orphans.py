"""Finds and ends processes of a build that left its process group, by the mark in their environment (Linux)."""

import os
import signal
import time
from pathlib import Path

from bindery_builder.process.environment import MARK

_PROC = Path("/proc")


def end_strays(folder: Path, seconds: float = 5) -> int:
    """Kill every process that bears the build's mark or stands in its folder; answers how many were met.

    Looks again until none is left, since one that is being killed may just have made another; gives up after `seconds`.
    """
    met = 0
    until = time.monotonic() + seconds
    while True:
        found = [pid for pid in _pids() if _end(pid, folder)]
        met += len(found)
        if not found or time.monotonic() > until:
            return met
        time.sleep(0.01)


def _pids() -> list[int]:
    if not _PROC.is_dir():  # not Linux: only process groups are ended there
        return []
    own = os.getpid()
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal() and int(entry.name) != own]


def _end(pid: int, folder: Path) -> bool:
    """A descriptor of the process is held while it is looked at, so that its number cannot pass to another."""
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
    except OSError:  # gone, somebody else's, or a zombie
        return False
