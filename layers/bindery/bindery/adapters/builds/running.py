"""Runs a build's commands, each in its own process group: drained always, ended in time, nothing left behind."""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bindery.adapters.builds.log import BuildLog

_TICK_SECONDS = 0.05
_GRACE_SECONDS = 1.0
_CHUNK = 65_536


class Stopped(Exception):
    """Somebody asked the build to end."""


class TimeOver(Exception):
    """The build's limit has passed."""


@dataclass(frozen=True)
class Runner:
    """deadline: time.monotonic() seconds. environment: the whole of it, nothing is inherited."""

    environment: Mapping[str, str]
    deadline: float
    stopped: threading.Event
    log: BuildLog

    def check(self) -> None:
        """Raises Stopped or TimeOver."""
        if self.stopped.is_set():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise TimeOver

    def run(self, command: Sequence[str], folder: Path, text: str = "", quiet: bool = False) -> tuple[int, list[str]]:
        """The exit code and the last lines. text: what the command reads. Raises Stopped, TimeOver, OSError (cannot be run)."""
        self.check()
        log = BuildLog(_Nowhere(), "", 0) if quiet else self.log
        log.last.clear()
        with tempfile.TemporaryFile() as given:
            given.write(text.encode())
            given.seek(0)
            process = subprocess.Popen(  # noqa: S603 - the repository's own steps are what is to be run
                command,
                cwd=folder,
                env=dict(self.environment),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._watch(process, log)
        finally:
            _end_group(process)
            log.end_line()
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
            process.wait(_GRACE_SECONDS)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
