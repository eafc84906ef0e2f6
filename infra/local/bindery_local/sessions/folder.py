"""What a session owns on disk: one folder under `home/sessions`, and one for temporary files."""

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bindery_local.sessions.processes import Process
from bindery_local.sessions.remove_tree import remove_folder

ID = re.compile(r"[a-z0-9]{1,40}")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
WHY_LINES = 20
WHY_CHARACTERS = 2000


class Record(BaseModel):
    """What is written once the keeper runs. started: as /proc has it. created: UTC seconds. No secrets."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: int
    port: int
    created: float
    notes: tuple[str, ...] = ()

    @property
    def process(self) -> Process:
        return Process(self.pid, self.started)


@dataclass(frozen=True)
class SessionFolder:
    """path: the session's folder; work: its working copy; home: its HOME. temporary: its TMPDIR, outside, since some
    programs put sockets there, whose paths must be short."""

    path: Path
    temporary: Path

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def home(self) -> Path:
        return self.path / "home"

    @property
    def scripts(self) -> Path:
        """Ours: scripts of the repository that cannot be run as they stand."""
        return self.path / "scripts"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    def create(self) -> None:
        """Makes the folders, for our eyes only. Raises FileExistsError if one is there, so that nobody plants one."""
        self.path.mkdir(mode=0o700, parents=True)
        self.scripts.mkdir()
        self.temporary.mkdir(mode=0o700)

    def remove(self) -> None:
        """Afterwards nothing is left of it. The folder goes last: as long as it is there, the session is found."""
        if self.temporary.is_dir() and self.temporary.lstat().st_uid == os.geteuid():
            remove_folder(self.temporary)
        remove_folder(self.path)

    def record(self) -> Record | None:
        """None before the session's keeper runs."""
        try:
            return Record.model_validate_json((self.path / "process.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, record: Record) -> None:
        """Written beside and renamed into place: it is there whole or not at all."""
        beside = self.path / "process.json.new"
        beside.write_text(record.model_dump_json())
        beside.replace(self.path / "process.json")

    def last_words(self) -> str:
        """The log's last lines as plain text."""
        text = ""
        for path in (self.log.with_name("server.log.1"), self.log):
            text += _tail(path)
        lines = [CONTROL.sub("", line).rstrip() for line in text.replace("\r", "\n").split("\n")]
        return "\n".join([line for line in lines if line][-WHY_LINES:])[-WHY_CHARACTERS:]


def _tail(path: Path, size: int = 16384) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""


def folder_of(sessions: Path, mark: str, session: str) -> SessionFolder:
    """The session's folder, there or not. mark: tells this home's sessions from another's. Raises ValueError: no session's id."""
    if not ID.fullmatch(session):
        raise ValueError("not a session's id")
    return SessionFolder(sessions / session, Path(tempfile.gettempdir()) / f"bindery-{mark}-{session}")


def found_on_disk(sessions: Path, mark: str) -> dict[str, tuple[float, Record | None]]:
    """Every session that has a folder or temporary files here, since when (UTC seconds), and its record."""
    prefix = f"bindery-{mark}-"
    found: dict[str, tuple[float, Record | None]] = {}
    for parent, before in ((Path(tempfile.gettempdir()), prefix), (sessions, "")):
        for path in parent.glob(f"{before}*"):
            session = path.name.removeprefix(before)
            with contextlib.suppress(FileNotFoundError):
                if ID.fullmatch(session) and path.lstat().st_uid == os.geteuid():
                    record = folder_of(sessions, mark, session).record()
                    found[session] = (record.created if record else path.lstat().st_mtime, record)
    return found
