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
from bindery.domain.errors import BinderyError, Throttled
from bindery.domain.messages import StopRequested
from bindery_local.adapters import LocalAdapters
from bindery_local.http_server import Front, public_name
from bindery_local.sessions.processes import send, status_of, with_descendants
from bindery_local.setup import keep_log
from bindery_local.template import System
from bindery_local.workers import Workers

EVERYTHING = 1e9
TIDY_SECONDS = 3600
END_SECONDS = 15.0
ENDED_AT_ONCE = 8
# Whoever runs us may pass on the Ctrl-C that we got ourselves: that is no second wish.
SAME_WISH_SECONDS = 0.5
logger = logging.getLogger("bindery")


class Runtime:
    """run() returns when the process is told to stop, with nothing of it left."""

    def __init__(self, system: System, listener: socket.socket, adapters: LocalAdapters) -> None:
        self.system = system
        self.listener = listener
        self.adapters = adapters

    def run(self) -> None:
        """Cleans up after the last one, serves, cleans up after itself; a signal ends it at any point of this."""
        _on_signals(_end_once)
        server = self._server()
        terminal = keep_log(self.adapters.home, self.adapters.settings.log_level)
        # From then on steps under way lose what they work on, and streams their end: nobody needs to read that here.
        terminal.addFilter(lambda _record: not server.should_exit)
        workers = self._workers()
        try:
            self._take_over()
            workers.start()
            server.run(sockets=[self.listener])  # ends with the signal that it was told to end with
        finally:
            _on_signals(self._unless_at_once(time.monotonic()))
            server.should_exit = True
            self._end_by_force_after(END_SECONDS)
            with suppress(OSError):  # whoever listened may be gone
                print("Stopping Bindery, with every session and build that it started...", flush=True)
            workers.close()
            self._stop_everything()
            workers.join(5)
            self._end_sessions("Bindery was stopped")  # those that a step under way had just begun

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
        """After a crash: processes and half-built environments go, what launches wait for is found again."""
        self.adapters.recover()
        while not (
            self.adapters.isolated or self._end_sessions("Bindery was started again")
        ):  # nobody is sent to what is gone
            logger.warning("The table cannot be written just now: %s. Waiting.", self.adapters.home / "table.sqlite")
            time.sleep(1)
        with suppress(Throttled):  # it is a chore, too, and that comes again
            self.adapters.tidy()
        bootstrap.system().reconcile(ahead=EVERYTHING)

    def _stop_everything(self) -> None:
        self.adapters.close_work()
        self._end_sessions("Bindery was stopped")
        self.adapters.close()

    def _end_sessions(self, reason: str) -> bool:
        """Whether the table took it; if not, no session runs all the same."""
        self.adapters.stop_processes()
        try:
            alive = [session.id for session in bootstrap.system().state.sessions.alive()]
            with ThreadPoolExecutor(ENDED_AT_ONCE) as threads:  # a cluster takes its time with each
                for _ in threads.map(_end_session, alive, repeat(reason)):
                    pass
        except Throttled:
            return False
        return True

    def _unless_at_once(self, told_at: float) -> Callable[[int, FrameType | None], None]:
        """Return the handler of a second signal, which ends everything now."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            if time.monotonic() > told_at + SAME_WISH_SECONDS:
                self._end_by_force()

        return handle

    def _end_by_force_after(self, seconds: float) -> None:
        """End everything after so long, also while the interpreter waits for its last threads."""
        timer = threading.Timer(seconds, self._end_by_force)
        timer.daemon = True
        timer.start()

    def _end_by_force(self) -> NoReturn:
        """Kill what runs and end at once. Files stay: the next start removes them."""
        try:
            own = status_of(os.getpid())
            if own:
                for process in with_descendants({own.process}) - {own.process}:
                    send(process, signal.SIGKILL)
            self.adapters.kill_processes()
        finally:
            os._exit(1)


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
