"""Keeps one session: runs its server, bounds its log, and ends whatever the server started when the server ends.

Runs as a process of its own, so that a session lives on when the control plane ends. Standard library only.
Arguments: log file, its limit in bytes, working folder, command. SIGTERM ends the session.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 2.0
ENVIRONMENT_LOCK = 3  # the handle that we hold as long as the session lives, and nobody below us
PR_SET_CHILD_SUBREAPER = 36
# A program would ignore what its parent ignores, and block what it blocks: scripts need SIGPIPE, kernels SIGINT.
UNTOUCHED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)


class Log:
    """A file that holds the last lines: when half the limit is reached, it becomes `<name>.1` and begins anew."""

    def __init__(self, path: Path, limit: int, secret: bytes) -> None:
        self._path = path
        self._half = limit // 2
        self._secret = secret
        self._held = b""

    def write(self, data: bytes) -> None:
        """Writes without the secret. Holds back what may be the secret's beginning. A full disk loses lines, no more."""
        data = self._held + data
        if self._secret:
            data = data.replace(self._secret, b"[token]")
        keep = max(0, len(self._secret) - 1)
        cut = len(data) if data.endswith(b"\n") else max(0, len(data) - keep)
        self._held = data[cut:]
        self._append(data[:cut])

    def close(self, last: bytes) -> None:
        """Writes what was held back, and one last line."""
        self._append(self._held + (b"" if self._held.endswith(b"\n") or not self._held else b"\n") + last)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        try:
            if self._path.exists() and self._path.stat().st_size + len(data) > self._half:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            with self._path.open("ab") as file:
                file.write(data)
        except OSError:
            return


def children() -> list[int]:
    """Our own children. Orphans below us become ours, so repeated killing reaches every descendant."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes()
            except OSError:
                continue
            if int(stat.rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


def end_all() -> None:
    """Kills and reaps until no descendant is left."""
    while True:
        for pid in children():
            with contextlib.suppress(PermissionError):  # one that became another user's
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def run(command: list[str], log: Log) -> int:
    """Runs the command until it ends; answers its exit code, negative for a signal."""
    read_end, write_end = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, write_end, 1),
        (os.POSIX_SPAWN_DUP2, write_end, 2),
    ]

    def drain() -> None:
        while data := os.read(read_end, 65536):
            log.write(data)

    server = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsigmask=(), setsigdef=UNTOUCHED)
    os.close(write_end)

    def ask_to_end(_signal: int, _frame: FrameType | None) -> None:
        os.kill(server, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    def make_end(_signal: int, _frame: FrameType | None) -> None:
        os.kill(server, signal.SIGKILL)

    signal.signal(signal.SIGTERM, ask_to_end)
    signal.signal(signal.SIGALRM, make_end)
    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    status = wait_for(server)
    end_all()
    reader.join(GRACE_SECONDS)
    return status


def wait_for(server: int) -> int:
    """Reaps what dies until the server has. Signals are masked before its number may belong to another process."""
    while True:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if info is not None and info.si_pid == server:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})
        if info is not None:
            status = os.waitpid(info.si_pid, 0)[1]
            if info.si_pid == server:
                return os.waitstatus_to_exitcode(status)


def main() -> int:
    """Keeps the session until its server ends."""
    log_path, limit, folder, *command = sys.argv[1:]
    with contextlib.suppress(OSError):
        os.set_inheritable(ENVIRONMENT_LOCK, False)
    for quiet in (signal.SIGINT, signal.SIGHUP):
        signal.signal(quiet, lambda _signal, _frame: None)  # a handler, since an ignored signal would be inherited
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log = Log(Path(log_path), int(limit), os.environ.get("JUPYTER_TOKEN", "").encode())
    try:
        os.chdir(folder)
        code = run(command, log)
    except OSError as error:
        log.close(f"The server could not be run: {error.strerror}\n".encode())
        return 1
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    log.close(f"The server ended: {ended}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
