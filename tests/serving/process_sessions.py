"""Process sessions on this machine, with the files and the environment that a test sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.domain.sessions import Liveness, SessionReport
from bindery_local.processes import Process, marked, variables_of
from bindery_local.sessions.launcher import ProcessSessions
from tests.serving.lab import (
    REF,
    TOKEN,
    LabEnvironment,
    WrittenContents,
    hold,
    lab_python,
    order_of,
    until,
)

ENOUGH = 60.0


@dataclass
class Place:
    """A home on this machine with its launcher. environment, contents: change them before a session starts."""

    home: Path
    environment: LabEnvironment
    contents: WrittenContents
    allowed_origins: tuple[str, ...] = ()

    def launcher(self) -> ProcessSessions:
        """Return a control plane's launcher. A second launcher stands for the restarted control plane."""
        return ProcessSessions(
            self.home,
            self.contents,
            SystemClock(),
            find_environment=lambda _image: self.environment,
            hold_environment=lambda _image: hold(self.lock),
            allowed_origins=self.allowed_origins,
        )

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    def folder(self, session: str) -> Path:
        return self.home / "sessions" / session

    def keeper(self, launcher: ProcessSessions, session: str) -> Process:
        record = launcher._folder(session).record()
        assert record
        return record.process

    def log(self, session: str) -> str:
        return "".join(path.read_text() for path in sorted(self.folder(session).glob("server.log*")))

    def processes(self) -> list[Process]:
        """Return all processes that still bear a mark of this home."""
        home = str(self.home).encode()
        return [process for process, _ in marked(b"BINDERY_SESSION") if home in variables_of(process.pid)[b"HOME"]]


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    python = lab_python(tmp_path_factory.getbasetemp())
    return Place(tmp_path, LabEnvironment(python), WrittenContents({"README.md": "hello"}))


@pytest.fixture
def launcher(place: Place) -> Iterator[ProcessSessions]:
    launcher = place.launcher()
    yield launcher
    launcher.stop_all()
    launcher.close()
    assert place.processes() == []


def ready(launcher: ProcessSessions, session: str, ref: str = REF, **variables: str) -> str:
    launcher.start(order_of(session, ref, **variables))
    report = launcher.wait(session, TOKEN, ENOUGH)
    assert report.liveness is Liveness.READY, report.why
    return report.url


def gone(launcher: ProcessSessions, session: str) -> SessionReport:
    until(lambda: launcher.wait(session, TOKEN, 0).liveness is Liveness.GONE, ENOUGH)
    return launcher.wait(session, TOKEN, 0)
