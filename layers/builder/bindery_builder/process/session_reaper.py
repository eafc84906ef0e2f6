"""Reaper of one session: runs the server, limits its log, and ends all its descendants when the server ends.

Runs as a separate process, so that a session outlives the control plane. Uses the standard library only. Arguments: log file, its
limit in bytes, working folder, command. SIGTERM ends the session.
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
ENVIRONMENT_LOCK = 3  # descriptor held while the session lives; child processes do not get it
PR_SET_CHILD_SUBREAPER = 36
# A program inherits ignored and blocked signals. Scripts need SIGPIPE, kernels need SIGINT.
UNTOUCHED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)


class Log:
    """Log file of limited size: at half the limit it is renamed to `<name>.1` and a new file is started."""

    def __init__(self, path: Path, limit: int, secret: bytes) -> None:
        self._path = path
        self._half = limit // 2
        self._secret = secret
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write data without the secret. Hold back a possible beginning of the secret. On a full disk only lines are lost."""
        data = self._held + data
        if self._secret:
            data = data.replace(self._secret, b"[token]")
        keep = max(0, len(self._secret) - 1)
        cut = len(data) if data.endswith(b"\n") else max(0, len(data) - keep)
        self._held = data[cut:]
        self._append(data[:cut])

    def close(self, last: bytes) -> None:
        """Write the held-back data and a last line."""
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
    """Return the pids of this process's children. Orphaned descendants become children, so repeated killing reaches all of them."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes()
            except OSError:
                continue
            if int(stat.rpartition(b")")[2].split()[1]) == os.getpid():
                pids.append(int(entry.name))
    return pids


def end_all() -> None:
    """Kill and reap until no descendant is left."""
    while True:
        for pid in children():
            with contextlib.suppress(PermissionError):  # it runs as another user now
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def run(command: list[str], log: Log) -> int:
    """Run the command until it ends. Return its exit code, negative for a signal."""
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
    """Reap children until the server ends. Return its exit code.

    Signals are blocked before the server's pid can be reused.
    """
    while True:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if info is not None and info.si_pid == server:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})
        if info is not None:
            status = os.waitpid(info.si_pid, 0)[1]
            if info.si_pid == server:
                return os.waitstatus_to_exitcode(status)


def main() -> int:
    """Run the session until its server ends."""
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
