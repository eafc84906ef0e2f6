"""Files of a session on disk: one folder under `home/sessions`, and one for temporary files."""

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bindery_builder.process.files import write_whole
from bindery_builder.process.remove_tree import remove_tree
from bindery_builder.terminal_text import plain
from bindery_local.processes import Process

ID = re.compile(r"[a-z0-9]{1,40}")
MAX_LOG_LINES = 20
MAX_LOG_CHARACTERS = 2000


class Record(BaseModel):
    """Record of a session, written after its reaper has started. It contains no secrets.

    pid, started: of the reaper; started is in the format of /proc. created: UTC seconds. notes: sentences for the visitor.
    """

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
    """Folder of a session.

    path: the session's folder; work: its working copy; home: its HOME. temporary: its TMPDIR, which is outside of `path`: some
    programs create sockets in it, and paths of sockets must be short.
    """

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
        """Return the folder for Bindery's modified copies of scripts of the repository that cannot be run unchanged."""
        return self.path / "scripts"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    def create(self) -> None:
        """Create the folders except `work` and `home`, with access only for this user.

        Raises FileExistsError if one exists, so that another user cannot create it in advance.
        """
        self.path.mkdir(mode=0o700, parents=True)
        self.scripts.mkdir()
        self.temporary.mkdir(mode=0o700)

    def remove(self) -> None:
        """Remove all files of the session. `path` is removed last: while it exists, the session is listed."""
        if self.temporary.is_dir() and self.temporary.lstat().st_uid == os.geteuid():
            remove_tree(self.temporary)
        remove_tree(self.path)

    def record(self) -> Record | None:
        """Return the session's record, or None if it is missing or cannot be read."""
        try:
            return Record.model_validate_json((self.path / "process.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, record: Record) -> None:
        """Write the record atomically."""
        write_whole(self.path / "process.json", record.model_dump_json())

    def last_log_lines(self) -> str:
        """Return the last lines of the log that are not empty, as plain text."""
        text = ""
        for path in (self.log.with_name("server.log.1"), self.log):
            text += _tail(path)
        lines = [plain(line).rstrip() for line in text.replace("\r", "\n").split("\n")]
        return "\n".join([line for line in lines if line][-MAX_LOG_LINES:])[-MAX_LOG_CHARACTERS:]


def _tail(path: Path, size: int = 16384) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""


def session_folder(sessions: Path, mark: str, session: str) -> SessionFolder:
    """Return the session's folder, which need not exist. Raises ValueError for an invalid session id.

    mark: identifies the sessions of this home (BINDERY_HOME) among those of others.
    """
    if not ID.fullmatch(session):
        raise ValueError("not a session's id")
    return SessionFolder(sessions / session, Path(tempfile.gettempdir()) / f"bindery-{mark}-{session}")


def sessions_on_disk(sessions: Path, mark: str) -> dict[str, tuple[float, Record | None]]:
    """Return the start (UTC seconds) and the record of every session with a folder or temporary files, by session id."""
    prefix = f"bindery-{mark}-"
    sessions_by_id: dict[str, tuple[float, Record | None]] = {}
    for parent, name_prefix in ((Path(tempfile.gettempdir()), prefix), (sessions, "")):
        for path in parent.glob(f"{name_prefix}*"):
            session = path.name.removeprefix(name_prefix)
            with contextlib.suppress(FileNotFoundError):
                if ID.fullmatch(session) and path.lstat().st_uid == os.geteuid():
                    record = session_folder(sessions, mark, session).record()
                    sessions_by_id[session] = (record.created if record else path.lstat().st_mtime, record)
    return sessions_by_id
