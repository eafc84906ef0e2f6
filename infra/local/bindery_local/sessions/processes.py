"""Processes of this machine, as /proc shows them. A number alone never names a process: numbers are used again."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
DEAD = frozenset({"Z", "X"})


@dataclass(frozen=True)
class Process:
    """started: in clock ticks since boot, as /proc has it (field 22 of stat)."""

    pid: int
    started: int


@dataclass(frozen=True)
class Status:
    """What /proc/<pid>/stat says. parent: its number."""

    process: Process
    state: str
    parent: int


def status_of(pid: int) -> Status | None:
    """None if there is no such process."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # a name may hold spaces and brackets
    return Status(Process(pid, int(fields[19])), fields[0], int(fields[1]))


def reap(pid: int) -> None:
    """Takes note of our own child's end, if it is ours and has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def alive(process: Process) -> bool:
    """Whether exactly this process still runs; one that has ended and waits to be reaped does not."""
    reap(process.pid)
    status = status_of(process.pid)
    return status is not None and status.process == process and status.state not in DEAD


def variables_of(pid: int) -> dict[bytes, bytes]:
    """The environment that a process was started with; empty if it is not ours to read."""
    try:
        pairs = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (pair.partition(b"=") for pair in pairs)}


def marked(variable: bytes) -> Iterator[tuple[Process, bytes]]:
    """Every process that carries the variable, with its value."""
    for status in everything():
        value = variables_of(status.process.pid).get(variable)
        if value is not None:
            yield status.process, value


def everything() -> Iterator[Status]:
    """Every process there is."""
    for entry in PROC.iterdir():
        status = status_of(int(entry.name)) if entry.name.isdigit() else None
        if status is not None:
            yield status


def with_descendants(roots: set[Process]) -> set[Process]:
    """The processes and all that they started, as far as their parents still live."""
    seen = {status.process.pid: status for status in everything() if status.state not in DEAD}
    inside = {root.pid for root in roots}
    grown = True
    while grown:
        more = {pid for pid, status in seen.items() if status.parent in inside} - inside
        inside |= more
        grown = bool(more)
    return roots | {seen[pid].process for pid in inside if pid in seen}


def send(process: Process, number: signal.Signals, wait_seconds: float = 0) -> bool:
    """Sends a signal to exactly this process and waits for its end. Answers whether it has ended."""
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
    """UTC seconds."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return time.time() - uptime + process.started / os.sysconf("SC_CLK_TCK")
