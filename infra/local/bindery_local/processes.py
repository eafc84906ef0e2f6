"""Processes of this machine. A process is identified by pid and start time, since pids are reused.

psutil lists processes and reads their variables and folders. Their status is read from /proc here, since psutil's start times shift
when the clock is set, and since its search for descendants reads all processes again for each root.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PROC = Path("/proc")
DEAD = frozenset({"Z", "X"})


@dataclass(frozen=True)
class Process:
    """Process of this machine. started: in clock ticks since boot, as in /proc (field 22 of stat)."""

    pid: int
    started: int


@dataclass(frozen=True)
class Status:
    """Status from /proc/<pid>/stat. parent: the parent's pid."""

    process: Process
    state: str
    parent: int


def status_of(pid: int) -> Status | None:
    """Return the status of a process, or None if it does not exist."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # a name may hold spaces and brackets
    return Status(Process(pid, int(fields[19])), fields[0], int(fields[1]))


def reap(pid: int) -> None:
    """Reap the process if it is an ended child of this process."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def alive(process: Process) -> bool:
    """Return True if exactly this process still runs. An ended process that was not reaped does not run."""
    reap(process.pid)
    status = status_of(process.pid)
    return status is not None and status.process == process and status.state not in DEAD


def variables_of(pid: int) -> dict[bytes, bytes]:
    """Return the environment that a process was started with; empty if it is not readable for this user."""
    try:
        variables = psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return {}
    return {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}


def folder_of(pid: int) -> Path | None:
    """Return the folder that a process works in, or None if it is not readable for this user."""
    try:
        return Path(psutil.Process(pid).cwd())
    except (psutil.Error, OSError):
        return None


def marked(variable: bytes) -> Iterator[tuple[Process, bytes]]:
    """Yield every process with the variable, and its value."""
    for status in everything():
        value = variables_of(status.process.pid).get(variable)
        if value is not None:
            yield status.process, value


def everything() -> Iterator[Status]:
    """Yield the status of every process."""
    for pid in psutil.pids():
        if (status := status_of(pid)) is not None:
            yield status


def with_descendants(roots: set[Process]) -> set[Process]:
    """Return the processes and all their descendants, as far as the parents in between still live."""
    statuses = {status.process.pid: status for status in everything() if status.state not in DEAD}
    inside = {root.pid for root in roots}
    grown = True
    while grown:
        more = {pid for pid, status in statuses.items() if status.parent in inside} - inside
        inside |= more
        grown = bool(more)
    return roots | {statuses[pid].process for pid in inside if pid in statuses}


def send(process: Process, number: signal.Signals, wait_seconds: float = 0) -> bool:
    """Send a signal to exactly this process and wait for its end. Return True if it has ended."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if not alive(process):
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        ended = bool(poll.poll(wait_seconds * 1000))
        reap(process.pid)
        return ended
    finally:
        os.close(handle)


def started_at(process: Process) -> float:
    """Return the process's start time in UTC seconds."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + process.started / os.sysconf("SC_CLK_TCK")
