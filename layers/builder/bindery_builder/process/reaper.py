"""Reaper of one build command: kills all descendants of the command when it ends or is stopped.

Runs as a separate process (Linux). Uses the standard library only. Arguments: a descriptor for the errno if the command cannot be
run, then the command. SIGTERM ends the command; the end of the parent thread ends it, too.
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
    """Run the command. Return its exit code as a shell reports it: 128 plus the number of a signal."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this process runs without site folders
    from bindery_builder.process.session_reaper import PR_SET_CHILD_SUBREAPER, UNTOUCHED, end_all, wait_for

    errno_descriptor, *command = sys.argv[1:]
    os.set_inheritable(int(errno_descriptor), False)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = os.posix_spawnp(command[0], command, os.environ, setpgroup=0, setsigmask=(), setsigdef=UNTOUCHED)
    except OSError as error:
        os.write(int(errno_descriptor), str(error.errno).encode())
        return 127
    _end_when_asked(process)
    code = wait_for(process)
    end_all()
    return code if code >= 0 else 128 - code


def _end_when_asked(process: int) -> None:
    """Handle SIGTERM: send TERM to the command's group, then KILL after a grace period.

    Processes that left the group are killed afterwards.
    """

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
