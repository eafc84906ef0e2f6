"""Runner of a build's commands. Each has its own process group and a reaper; its output is always drained and its time is limited."""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bindery_builder.build_log import BuildLog
from bindery_builder.process.files import bytes_in

_TICK_SECONDS = 0.05
_END_SECONDS = 3.0  # the reaper's grace period plus the time to kill
_REAPER = Path(__file__).with_name("reaper.py")
_LOOK_SECONDS = 2.0
_CHUNK = 65_536


class Stopped(Exception):
    """Request to stop the build."""


class TimeOver(Exception):
    """Expiry of the build's deadline."""


class RoomOver(Exception):
    """Excess of the build's disk limit."""


class Limit(Protocol):
    """Disk limit of a build. check: raises RoomOver."""

    most_bytes: int

    def check(self) -> None: ...


@dataclass
class Growth:
    """Limit on how much a disk may fill up during one build, for a container tool's own storage.

    Data that other processes write to the disk counts, too.
    """

    folder: Path
    most_bytes: int
    _free: int = field(init=False)

    def __post_init__(self) -> None:
        self._free = shutil.disk_usage(self.folder).free

    def check(self) -> None:
        """Raise RoomOver if the disk has filled up by more than the limit."""
        if self._free - shutil.disk_usage(self.folder).free > self.most_bytes:
            raise RoomOver


@dataclass
class Room:
    """Size limit of a folder in bytes. The folder is measured every few seconds, less often where measuring is slow."""

    folder: Path
    most_bytes: int
    _look_at: float = field(default=0.0, init=False)

    def check(self) -> None:
        """Raise RoomOver if the folder is over its limit."""
        began = time.monotonic()
        if began < self._look_at:
            return
        if bytes_in(self.folder) > self.most_bytes:
            raise RoomOver
        ended = time.monotonic()
        self._look_at = ended + max(_LOOK_SECONDS, 20 * (ended - began))


@dataclass(frozen=True)
class Runner:
    """Runner of commands with one deadline.

    deadline: in seconds of time.monotonic(). environment: all variables of the commands; they inherit no others.
    """

    environment: Mapping[str, str]
    deadline: float
    stopped: threading.Event
    log: BuildLog
    room: Limit

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise Stopped if the build was stopped, or TimeOver if its deadline has passed."""
        if self.stopped.is_set():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise TimeOver

    def run(self, command: Sequence[str], folder: Path, text: str = "", quiet: bool = False) -> tuple[int, list[str]]:
        """Run a command. Return its exit code and its last lines. text: the command's standard input.

        Raises Stopped, TimeOver, RoomOver, and OSError if the command cannot be run.
        """
        self.check()
        log = BuildLog(_Nowhere(), "", 0) if quiet else self.log
        log.begin_command()
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as errno_file:
            stdin.write(text.encode())
            stdin.seek(0)
            process = subprocess.Popen(  # noqa: S603 - a build runs the repository's own steps
                _with_reaper(command, errno_file.fileno()),
                cwd=folder,
                env=dict(self.environment),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[errno_file.fileno()],
            )
            try:
                self._watch(process, log)
            finally:
                _end_group(process)
                log.end_line()
            errno_file.seek(0)
            if number := errno_file.read():
                raise OSError(int(number), os.strerror(int(number)))
        return process.returncode, list(log.last)

    def _watch(self, process: "subprocess.Popen[bytes]", log: BuildLog) -> None:
        """Read output until the process ends. Its children may keep the output open, so the end of the output is not a criterion."""
        output = process.stdout
        assert output is not None  # noqa: S101 - started with PIPE
        os.set_blocking(output.fileno(), False)
        with output, selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while process.poll() is None:
                self._tick(log)
                if not selector.get_map():  # output is closed, the process still runs
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_TICK_SECONDS)
                elif selector.select(_TICK_SECONDS) and not _drain_once(output.fileno(), log):
                    selector.unregister(output)
            # Read the last output. Children that still print are not waited for.
            for _ in range(32):
                if not _drain_once(output.fileno(), log):
                    break

    def _tick(self, log: BuildLog) -> None:
        log.tick()
        self.check()
        self.room.check()


def _with_reaper(command: Sequence[str], errno_descriptor: int) -> list[str]:
    """Return the command wrapped in a reaper, which also finds processes that left the group. Linux only."""
    if not Path("/proc").is_dir():
        return list(command)
    return [sys.executable, "-I", "-S", str(_REAPER), str(errno_descriptor), *command]


class _Nowhere:
    def send(self, message: object, delay: float = 0) -> None:
        """Drop the message."""


def _drain_once(descriptor: int, log: BuildLog) -> bool:
    try:
        chunk = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return False
    log.feed(chunk)
    return bool(chunk)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Send TERM, then KILL, to the whole group, including children that outlived the process."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
