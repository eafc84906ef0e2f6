"""Keeps one command of a build: when it ends, or is to end, whatever it started is killed, wherever that went.

Runs as a process of its own (Linux). Standard library only. Arguments: a descriptor to write the system's error number to
if the command cannot be run, command. SIGTERM ends the command; so does the end of the thread that started us.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 1.0
PR_SET_PDEATHSIG = 1


def main() -> int:
    """The command's exit code, as a shell tells it: 128 and more for a signal."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # we run without any site's folders
    from bindery_builder.process.session_reaper import PR_SET_CHILD_SUBREAPER, UNTOUCHED, end_all, wait_for

    told, *command = sys.argv[1:]
    os.set_inheritable(int(told), False)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = os.posix_spawnp(command[0], command, os.environ, setpgroup=0, setsigmask=(), setsigdef=UNTOUCHED)
    except OSError as error:
        os.write(int(told), str(error.errno).encode())
        return 127
    _end_when_asked(process)
    code = wait_for(process)
    end_all()
    return code if code >= 0 else 128 - code


def _end_when_asked(process: int) -> None:
    """TERM to the command's group, and KILL to it a moment later; what left the group is killed after that."""

    def ask_to_end(_signal: int, _frame: FrameType | None) -> None:
        _signal_group(process, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    def make_end(_signal: int, _frame: FrameType | None) -> None:
        _signal_group(process, signal.SIGKILL)

    signal.signal(signal.SIGTERM, ask_to_end)
    signal.signal(signal.SIGALRM, make_end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _signal_group(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, number)


if __name__ == "__main__":
    sys.exit(main())
