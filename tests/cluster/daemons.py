"""The cluster's processes: each with a log and a note of its own in the cluster's folder, so that any process can end it."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from bindery_local.processes import Process, alive, send, status_of
from tests.cluster.place import MARK

LOG_LINES = 15
STARTS_WITHIN = 60.0


class NotStarted(Exception):
    """The error that a part of the cluster ended, or took too long. It contains the last lines of the part's log."""


@dataclass(frozen=True)
class Daemon:
    """A process of the cluster in `folder`.

    environment: all variables that it gets beside PATH, HOME and the mark.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def noted(cls, name: str, folder: Path) -> Self:
        """Return the daemon as it was last started. Raise FileNotFoundError if it never was."""
        note = json.loads((folder / f"{name}.json").read_text())
        return cls(name, folder, tuple(note["command"]), note["environment"])

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def process(self) -> Process:
        """Return the running process. Raise FileNotFoundError if the daemon was never started."""
        return Process(**json.loads((self.folder / f"{self.name}.json").read_text())["process"])

    def start(self) -> Self:
        """Start the process. It appends to its log."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), MARK: str(self.folder)}
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            self.command[0],
            self.command,
            {**environment, **self.environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), appending, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        status = status_of(pid)
        assert status is not None, "our own child waits for us even when it has ended"
        note = {"process": asdict(status.process), "command": self.command, "environment": dict(self.environment)}
        (self.folder / f"{self.name}.json").write_text(json.dumps(note))
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask the process to end, kill it after 10 s, and wait for its end."""
        with suppress(FileNotFoundError):
            if not send(self.process, number, 10):
                send(self.process, signal.SIGKILL, 10)

    def check(self) -> None:
        """Raise NotStarted if the process does not run."""
        if not alive(self.process):
            raise NotStarted(f"{self.name} ended: {self.last_lines()}")

    def last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])


def until(ready: Callable[[], bool], daemons: Iterable[Daemon], seconds: float = STARTS_WITHIN) -> None:
    """Wait until the condition is true.

    Raise NotStarted when one of the daemons that it depends on has ended, or when it takes too long.
    """
    end = time.monotonic() + seconds
    daemons = tuple(daemons)
    while True:
        start = time.monotonic()
        if ready():
            return
        for daemon in daemons:
            daemon.check()
        now = time.monotonic()
        if now > end:
            logs = "\n".join(f"{daemon.name}: {daemon.last_lines()}" for daemon in daemons)
            raise NotStarted(f"not ready within {seconds:.0f} s\n{logs}")
        # An expensive condition, for example a call of kubectl, is tried less often.
        time.sleep(min(0.5, max(0.05, 4 * (now - start))))
