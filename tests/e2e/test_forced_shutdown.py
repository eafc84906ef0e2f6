"""Tests of an end that hangs. A second signal forces it, and the next start finds the remains."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from bindery_local.processes import alive, status_of
from bindery_local.setup import LOCAL
from tests.serving.git_http import GitServer
from tests.serving.kernel import Session
from tests.serving.runtime import ROOT, LocalRuntime, until


def test_a_second_interrupt_ends_at_once_and_the_next_start_cleans_up(
    home: Path, git_server: GitServer, plain: str
) -> None:
    with LocalRuntime(home, allowed_private_hosts=git_server.address) as bindery:
        Session.of(bindery.launch(plain).last.data).run("import subprocess; subprocess.Popen(['sleep', '1000'])")
        (keeper,) = [pid for pid, command in bindery.sessions().items() if "session_reaper.py" in command]
        os.kill(keeper, signal.SIGSTOP)  # its end is slow from now on
        os.kill(bindery.pid, signal.SIGINT)
        until(lambda: not listens(bindery))
        until(lambda: ended_after_another(bindery.pid))
        assert bindery.stop() == 1
        until(lambda: not bindery.processes())
        # The value is None if this machine took longer than the five seconds that the session's own end may take.
        assert len(bindery.session_folders()) <= 1

        bindery.start()
        assert bindery.session_folders() == []
        assert bindery.stop() == 0


HANGING = """
import subprocess, sys, threading
from bindery import bootstrap
from bindery_local.adapters import LocalAdapters
from bindery_local.runtime import Runtime
child = subprocess.Popen(["sleep", "1000"])
print(child.pid, flush=True)
sys.stdin.read()
Runtime(None, None, LocalAdapters(bootstrap.settings()))._end_by_force_after(0.01)
threading.Event().wait()
"""


def test_a_hanging_shutdown_is_forced_after_a_while(home: Path) -> None:
    local = {"BINDERY_HOME": str(home), "BINDERY_SECRET": "s" * 40, **LOCAL}
    hanging = subprocess.Popen(
        [sys.executable, "-c", HANGING],
        cwd=ROOT,
        env={**os.environ, **local},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert hanging.stdout
    status = status_of(int(hanging.stdout.readline()))
    assert status
    hanging.communicate()
    assert hanging.returncode == 1
    until(lambda: not alive(status.process))


def test_a_folder_that_cannot_be_removed_blocks_no_start_and_no_other_session(
    home: Path, git_server: GitServer, plain: str
) -> None:
    stuck = home / "sessions" / "stuck"
    stuck.parent.mkdir(mode=0o700, parents=True)
    stuck.touch()  # where a folder should be
    with LocalRuntime(home, allowed_private_hosts=git_server.address) as bindery:
        bindery.launch(plain)
        assert len(bindery.session_folders()) == 2
        assert bindery.stop() == 0
        assert bindery.session_folders() == ["stuck"]
        assert "session stuck could not be stopped" in bindery.log


def listens(bindery: LocalRuntime) -> bool:
    try:
        bindery.get("/health")
    except httpx.TransportError:
        return False
    return True


def ended_after_another(pid: int) -> bool:
    """Send a signal and return True if the process has ended. A signal right after the first counts as the first one."""
    os.kill(pid, signal.SIGINT)
    status = status_of(pid)
    return status is None or status.state == "Z"
