"""Tests of the end of sessions in the local runtime, with a slow launcher."""

import socket
import threading

import pytest

from bindery import bootstrap
from bindery.domain.errors import LauncherDown
from bindery.domain.sessions import SessionState
from bindery_local.adapters import LocalAdapters
from bindery_local.runtime import ENDED_AT_ONCE, Runtime
from bindery_local.template import System
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.ports import settings_of


def ends(system: InMemorySystem, environment: pytest.MonkeyPatch) -> bool:
    """Do to sessions as Ctrl-C does, and return the result."""
    environment.setattr(bootstrap, "system", lambda: system.bindery)
    adapters = LocalAdapters(settings_of())
    vars(adapters)["processes"] = None  # the launcher is a fake
    with socket.socket() as listener:
        return Runtime(System((), (), {}, (), {}), listener, adapters)._end_sessions("Bindery was stopped")


def test_sessions_are_stopped_in_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    system = InMemorySystem()
    launches = [system.ready() for _ in range(ENDED_AT_ONCE)]
    together = threading.Barrier(ENDED_AT_ONCE, timeout=5)

    def meet(operation: str, session: str) -> None:
        together.wait()

    system.launcher.before = meet
    assert ends(system, monkeypatch)
    assert {system.session(launch).state for launch in launches} == {SessionState.ENDED}


def test_a_session_that_cannot_be_stopped_does_not_block_others(monkeypatch: pytest.MonkeyPatch) -> None:
    system = InMemorySystem()
    stuck, other = system.ready(), system.ready()

    def down(operation: str, session: str) -> None:
        if session == stuck.id:
            raise LauncherDown(why="no cluster")

    system.launcher.before = down
    assert ends(system, monkeypatch)
    assert system.session(stuck).state is SessionState.STOPPING
    assert system.session(other).state is SessionState.ENDED
