"""Bindery in one process: front, workers, timers, around the adapters that this machine's settings pick."""

import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from bindery import bootstrap
from bindery.adapters.builds.uv import UvBuilds
from bindery.adapters.queues.memory import MemoryQueues
from bindery.adapters.sessions.process import ProcessSessions
from bindery.adapters.tables.sqlite import SqliteTable
from bindery.domain.messages import StopRequested
from infra.local.front import Front
from infra.local.surroundings import keep_log
from infra.local.template import System
from infra.local.workers import Workers

EVERYTHING = 1e9
TIDY_SECONDS = 3600


class Runtime:
    """run() returns when the process is told to stop, with nothing of it left."""

    def __init__(self, system: System, listener: socket.socket) -> None:
        self.system = system
        self.listener = listener

    def run(self) -> None:
        """Cleans up after the last one, serves, cleans up after itself; a signal ends it at any point of this."""
        _on_signals(lambda _number, _frame: sys.exit())
        terminal = keep_log(bootstrap.home(), bootstrap.settings().log_level)
        workers = self._workers()
        try:
            self._take_over()
            workers.start()
            self._server().run(sockets=[self.listener])  # ends with the signal that it was told to end with
        finally:
            _on_signals(signal.SIG_IGN)
            terminal.setLevel(logging.CRITICAL)  # steps under way lose what they work on: nobody needs to read that
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
        front = Front(self.system.routes, only_loopback=not bootstrap.sessions_are_isolated())
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
        if isinstance(builds, UvBuilds):
            builds.recover()
        self._end_sessions("Bindery was started again")
        _tidy()
        bootstrap.reconcile()(ahead=EVERYTHING)

    def _stop_everything(self) -> None:
        builds = bootstrap.builds()
        if isinstance(builds, UvBuilds):
            builds.close()
        self._end_sessions("Bindery was stopped")

    def _end_sessions(self, reason: str) -> None:
        launcher = bootstrap.launcher()
        if isinstance(launcher, ProcessSessions):
            launcher.stop_all()
        for session in bootstrap.state().sessions.alive():
            bootstrap.stop_session()(StopRequested(session=session.id, reason=reason))


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _tidy() -> None:
    """What DynamoDB does by itself: removes items past their time."""
    table = bootstrap.table()
    if isinstance(table, SqliteTable):
        table.tidy(bootstrap.clock().now())
