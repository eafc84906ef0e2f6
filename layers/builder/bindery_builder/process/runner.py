"""Runs a build's commands, each in its own process group and under a keeper: drained always, ended in time, nothing left behind."""

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
_END_SECONDS = 3.0  # the keeper's own grace and what it takes to kill
_KEEPER = Path(__file__).with_name("reaper.py")
_LOOK_SECONDS = 2.0
_CHUNK = 65_536


class Stopped(Exception):
    """Somebody asked the build to end."""


class TimeOver(Exception):
    """The build's limit has passed."""


class RoomOver(Exception):
    """The build's folder holds more than it may."""


class Limit(Protocol):
    """How much a build may take of the disk. check: raises RoomOver."""

    most_bytes: int

    def check(self) -> None: ...


@dataclass
class Growth:
    """How far a disk may fill up while one build runs, whoever fills it: for what lies in a container tool's own storage."""

    folder: Path
    most_bytes: int
    _free: int = field(init=False)

    def __post_init__(self) -> None:
        self._free = shutil.disk_usage(self.folder).free

    def check(self) -> None:
        """Raises RoomOver."""
        if self._free - shutil.disk_usage(self.folder).free > self.most_bytes:
            raise RoomOver


@dataclass
class Room:
    """A folder's limit in bytes. It is measured every few seconds, and rarely where that takes long."""

    folder: Path
    most_bytes: int
    _look_at: float = field(default=0.0, init=False)

    def check(self) -> None:
        """Raises RoomOver."""
        began = time.monotonic()
        if began < self._look_at:
            return
        if bytes_in(self.folder) > self.most_bytes:
            raise RoomOver
        ended = time.monotonic()
        self._look_at = ended + max(_LOOK_SECONDS, 20 * (ended - began))


@dataclass(frozen=True)
class Runner:
    """deadline: time.monotonic() seconds. environment: the whole of it, nothing is inherited."""

    environment: Mapping[str, str]
    deadline: float
    stopped: threading.Event
    log: BuildLog
    room: Limit

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raises Stopped or TimeOver."""
        if self.stopped.is_set():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise TimeOver

    def run(self, command: Sequence[str], folder: Path, text: str = "", quiet: bool = False) -> tuple[int, list[str]]:
        """The exit code and the last lines. text: what the command reads.

        Raises Stopped, TimeOver, RoomOver, OSError (cannot be run).
        """
        self.check()
        log = BuildLog(_Nowhere(), "", 0) if quiet else self.log
        log.last.clear()
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as unable:
            given.write(text.encode())
            given.seek(0)
            process = subprocess.Popen(  # noqa: S603 - the repository's own steps are what is to be run
                _kept(command, unable.fileno()),
                cwd=folder,
                env=dict(self.environment),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[unable.fileno()],
            )
            try:
                self._watch(process, log)
            finally:
                _end_group(process)
                log.end_line()
            unable.seek(0)
            if number := unable.read():
                raise OSError(int(number), os.strerror(int(number)))
        return process.returncode, list(log.last)

    def _watch(self, process: "subprocess.Popen[bytes]", log: BuildLog) -> None:
        """Until the process ends: its children may hold its output open for ever, so the end of output decides nothing."""
        output = process.stdout
        assert output is not None  # noqa: S101 - PIPE was asked for
        os.set_blocking(output.fileno(), False)
        with output, selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while process.poll() is None:
                self._tick(log)
                if not selector.get_map():  # output is closed, the process goes on
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_TICK_SECONDS)
                elif selector.select(_TICK_SECONDS) and not _drain_once(output.fileno(), log):
                    selector.unregister(output)
            # What was printed just before the end; a child that goes on printing is not waited for.
            for _ in range(32):
                if not _drain_once(output.fileno(), log):
                    break

    def _tick(self, log: BuildLog) -> None:
        log.tick()
        self.check()
        self.room.check()


def _kept(command: Sequence[str], unable: int) -> list[str]:
    """Under a keeper, which also reaches what hides from us; elsewhere than on Linux there is none."""
    if not Path("/proc").is_dir():
        return list(command)
    return [sys.executable, "-I", "-S", str(_KEEPER), str(unable), *command]


class _Nowhere:
    def send(self, message: object, delay: float = 0) -> None:
        """Nobody reads it."""


def _drain_once(descriptor: int, log: BuildLog) -> bool:
    try:
        chunk = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return False
    log.feed(chunk)
    return bool(chunk)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """TERM, then KILL, to the whole group: also to children that outlived a process that ended by itself."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
