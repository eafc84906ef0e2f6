"""Runtime of Bindery in one process: front, workers and timers, around the adapters that the settings select."""

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
from bindery.domain.errors import BinderyError, Throttled
from bindery.domain.messages import StopRequested
from bindery_local.adapters import LocalAdapters
from bindery_local.http_server import Front, public_name
from bindery_local.processes import send, status_of, with_descendants
from bindery_local.setup import keep_log
from bindery_local.template import System
from bindery_local.workers import Workers

EVERYTHING = 1e9
TIDY_SECONDS = 3600
END_SECONDS = 15.0
ENDED_AT_ONCE = 8
# The parent process may pass on a Ctrl-C that this process also received: it does not count as a second signal.
SAME_SIGNAL_SECONDS = 0.5
logger = logging.getLogger("bindery")


class Runtime:
    """Runtime of one process. `run` returns after a request to stop, when all work has ended."""

    def __init__(self, system: System, listener: socket.socket, adapters: LocalAdapters) -> None:
        self.system = system
        self.listener = listener
        self.adapters = adapters

    def run(self) -> None:
        """Recover from the last run, serve, and clean up. A signal ends it at any point."""
        _on_signals(_end_once)
        server = self._server()
        terminal = keep_log(self.adapters.home, self.adapters.settings.log_level)
        # During shutdown, running steps and streams fail. These errors are not printed on the terminal.
        terminal.addFilter(lambda _record: not server.should_exit)
        workers = self._workers()
        try:
            self._take_over()
            workers.start()
            server.run(sockets=[self.listener])  # returns after it raised the signal that stopped it
        finally:
            _on_signals(self._unless_at_once(time.monotonic()))
            server.should_exit = True
            self._end_by_force_after(END_SECONDS)
            with suppress(OSError):  # the terminal may be closed
                print("Stopping Bindery, with every session and build that it started...", flush=True)
            workers.close()
            self._stop_everything()
            workers.join(5)
            self._end_sessions("Bindery was stopped")  # sessions that a running step has just started

    def _workers(self) -> Workers:
        settings = self.adapters.settings
        periods = {
            "BINDERY_CULL_SECONDS": settings.cull_seconds,
            "BINDERY_RECONCILE_SECONDS": settings.reconcile_seconds,
        }
        return Workers(self.system, self.adapters.memory_queues, periods, chores=((TIDY_SECONDS, self.adapters.tidy),))

    def _server(self) -> uvicorn.Server:
        front = Front(self.system, not self.adapters.isolated, public_name(self.adapters.settings))
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
        """Clean up after a crash: remove processes and unfinished environments, and resume waiting launches."""
        self.adapters.recover()
        while not (
            self.adapters.isolated or self._end_sessions("Bindery was started again")
        ):  # visitors must not be sent to ended sessions
            logger.warning("The table cannot be written just now: %s. Waiting.", self.adapters.home / "table.sqlite")
            time.sleep(1)
        with suppress(Throttled):  # it is repeated as a chore
            self.adapters.tidy()
        bootstrap.system().reconcile(ahead=EVERYTHING)

    def _stop_everything(self) -> None:
        self.adapters.close_work()
        self._end_sessions("Bindery was stopped")
        self.adapters.close()

    def _end_sessions(self, reason: str) -> bool:
        """End all sessions. Return True if the table has recorded it. Their processes end in either case."""
        self.adapters.stop_processes()
        try:
            alive = [session.id for session in bootstrap.system().state.sessions.alive()]
            with ThreadPoolExecutor(ENDED_AT_ONCE) as threads:  # a cluster takes some time for each session
                for _ in threads.map(_end_session, alive, repeat(reason)):
                    pass
        except Throttled:
            return False
        return True

    def _unless_at_once(self, stopped_at: float) -> Callable[[int, FrameType | None], None]:
        """Return the handler of a second signal, which ends the process immediately."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            if time.monotonic() > stopped_at + SAME_SIGNAL_SECONDS:
                self._end_by_force()

        return handle

    def _end_by_force_after(self, seconds: float) -> None:
        """End the process after this time, even while the interpreter waits for its last threads."""
        timer = threading.Timer(seconds, self._end_by_force)
        timer.daemon = True
        timer.start()

    def _end_by_force(self) -> NoReturn:
        """Kill all processes of Bindery and exit immediately. Files stay: the next start removes them."""
        try:
            own = status_of(os.getpid())
            if own:
                for process in with_descendants({own.process}) - {own.process}:
                    send(process, signal.SIGKILL)
            self.adapters.kill_processes()
        finally:
            os._exit(1)


def _end_session(session: str, reason: str) -> None:
    """End a session. A failure is logged and does not affect other sessions or the start. Raises Throttled."""
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
    """Exit through the cleanup of `run`. Further signals are ignored until the cleanup has begun."""
    _on_signals(signal.SIG_IGN)
    sys.exit()
