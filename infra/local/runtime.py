"""Bindery in one process: front, workers, timers, around the adapters that this machine's settings pick."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import repeat
from types import FrameType
from typing import NoReturn

import uvicorn

from bindery import bootstrap
from bindery.adapters.builds.container import ContainerBuilds
from bindery.adapters.builds.uv import UvBuilds
from bindery.adapters.queues.memory import MemoryQueues
from bindery.adapters.repositories.any_contents import AnyContents
from bindery.adapters.sessions.process import ProcessSessions
from bindery.adapters.sessions.processes import send, status_of, with_descendants
from bindery.adapters.tables.sqlite import SqliteTable
from bindery.domain.errors import BinderyError, Throttled
from bindery.domain.messages import StopRequested
from infra.local import on_cluster
from infra.local.front import Front, public_name
from infra.local.surroundings import keep_log
from infra.local.template import System
from infra.local.workers import Workers

EVERYTHING = 1e9
TIDY_SECONDS = 3600
END_SECONDS = 15.0
ENDED_AT_ONCE = 8
# Whoever runs us may pass on the Ctrl-C that we got ourselves: that is no second wish.
SAME_WISH_SECONDS = 0.5
logger = logging.getLogger("bindery")


class Runtime:
    """run() returns when the process is told to stop, with nothing of it left."""

    def __init__(self, system: System, listener: socket.socket) -> None:
        self.system = system
        self.listener = listener

    def run(self) -> None:
        """Cleans up after the last one, serves, cleans up after itself; a signal ends it at any point of this."""
        _on_signals(_end_once)
        server = self._server()
        terminal = keep_log(bootstrap.home(), bootstrap.settings().log_level)
        # From then on steps under way lose what they work on, and streams their end: nobody needs to read that here.
        terminal.addFilter(lambda _record: not server.should_exit)
        workers = self._workers()
        try:
            self._take_over()
            workers.start()
            server.run(sockets=[self.listener])  # ends with the signal that it was told to end with
        finally:
            _on_signals(_unless_at_once(time.monotonic()))
            server.should_exit = True
            _end_by_force_after(END_SECONDS)
            with suppress(OSError):  # whoever listened may be gone
                print("Stopping Bindery, with every session and build that it started...", flush=True)
            workers.close()
            self._stop_everything()
            workers.join(5)
            self._end_sessions("Bindery was stopped")  # those that a step under way had just begun

    def _workers(self) -> Workers:
        settings = bootstrap.settings()
        queues = bootstrap.queue()
        assert isinstance(queues, MemoryQueues)  # noqa: S101  # LOCAL in surroundings.py
        periods = {
            "BINDERY_CULL_SECONDS": settings.cull_seconds,
            "BINDERY_RECONCILE_SECONDS": settings.reconcile_seconds,
        }
        return Workers(self.system, queues, periods, chores=((TIDY_SECONDS, _tidy),))

    def _server(self) -> uvicorn.Server:
        front = Front(self.system, not bootstrap.system().ports.isolated, public_name(bootstrap.settings()))
        return uvicorn.Server(
            uvicorn.Config(
                front,
                log_config=None,
                access_log=False,
                lifespan="off",
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )

    def _take_over(self) -> None:
        """After a crash: processes and half-built environments go, what launches wait for is found again."""
        builds = bootstrap.builds()
        if isinstance(builds, UvBuilds | ContainerBuilds):
            builds.recover()
        contents = bootstrap.contents()
        if isinstance(contents, AnyContents):
            contents.recover()
        while not (
            on_cluster.are_elsewhere() or self._end_sessions("Bindery was started again")
        ):  # nobody is sent to what is gone
            logger.warning("The table cannot be written just now: %s. Waiting.", bootstrap.home() / "table.sqlite")
            time.sleep(1)
        with suppress(Throttled):  # it is a chore, too, and that comes again
            _tidy()
        bootstrap.system().reconcile(ahead=EVERYTHING)

    def _stop_everything(self) -> None:
        launcher = bootstrap.launcher()
        if isinstance(launcher, ProcessSessions):
            launcher.close()
        builds = bootstrap.builds()
        if isinstance(builds, UvBuilds | ContainerBuilds):
            builds.close()
        self._end_sessions("Bindery was stopped")
        on_cluster.close(launcher)

    def _end_sessions(self, reason: str) -> bool:
        """Whether the table took it; if not, no session runs all the same."""
        launcher = bootstrap.launcher()
        if isinstance(launcher, ProcessSessions):
            launcher.stop_all()
        try:
            alive = [session.id for session in bootstrap.system().state.sessions.alive()]
            with ThreadPoolExecutor(ENDED_AT_ONCE) as threads:  # a cluster takes its time with each
                for _ in threads.map(_end_session, alive, repeat(reason)):
                    pass
        except Throttled:
            return False
        return True


def _end_session(session: str, reason: str) -> None:
    """One that is stuck keeps no other, and never a start. Raises Throttled."""
    try:
        bootstrap.system().stop_session(StopRequested(session=session, reason=reason))
    except Throttled:
        raise
    except (BinderyError, OSError) as error:
        logger.warning("session %s could not be ended: %s", session, error)


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _end_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ends by the way of run()'s own cleaning, which nothing interrupts before it has begun."""
    _on_signals(signal.SIG_IGN)
    sys.exit()


def _unless_at_once(told_at: float) -> Callable[[int, FrameType | None], None]:
    """What a second signal does: ends everything now."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if time.monotonic() > told_at + SAME_WISH_SECONDS:
            _end_by_force()

    return handle


def _end_by_force_after(seconds: float) -> None:
    """However long something hangs, also while the interpreter waits for its last threads."""
    timer = threading.Timer(seconds, _end_by_force)
    timer.daemon = True
    timer.start()


def _end_by_force() -> NoReturn:
    """Kills what runs and ends at once. Files stay: the next start removes them."""
    try:
        own = status_of(os.getpid())
        if own:
            for process in with_descendants({own.process}) - {own.process}:
                send(process, signal.SIGKILL)
        launcher = bootstrap.launcher()
        if isinstance(launcher, ProcessSessions):
            launcher.kill_all()
    finally:
        os._exit(1)


def _tidy() -> None:
    """What DynamoDB does by itself: removes items past their time."""
    table = bootstrap.table()
    if isinstance(table, SqliteTable):
        table.tidy(bootstrap.clock().now())
