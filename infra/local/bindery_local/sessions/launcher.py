"""Sessions as processes of this machine: JupyterLab on loopback, for local use. They are not isolated from one another."""

import contextlib
import hashlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from bindery.adapters.jupyter import activity
from bindery.domain.errors import BinderyError, ImageGone, LauncherDown
from bindery.domain.sessions import Activity, Liveness, SessionObject, SessionOrder, SessionReport
from bindery.ports.clock import Clock
from bindery.ports.contents import Contents
from bindery_builder.process.files import is_full, words
from bindery_builder.process.session_reaper import ENVIRONMENT_LOCK, UNTOUCHED
from bindery_local import socket_owners
from bindery_local.processes import (
    Process,
    alive,
    marked,
    send,
    started_at,
    status_of,
    with_descendants,
)
from bindery_local.sessions.cancellation import ALL, Stops
from bindery_local.sessions.environment import Environment, FindEnvironment, HoldEnvironment
from bindery_local.sessions.folder import ID, Record, SessionFolder, session_folder, sessions_on_disk
from bindery_local.sessions.ports import HeldPorts, listens, port_of
from bindery_local.sessions.server import MARK, command, prepare_home, variables
from bindery_local.sessions.working_copy import checkout, copy_folder

POLL_SECONDS = 0.02
END_SECONDS = 5.0  # the reaper's grace period plus the time to kill
KILL_ROUNDS = 100
logger = logging.getLogger("bindery")
STARTING = SessionReport(Liveness.STARTING)


class ProcessSessions:
    """Session launcher for this machine.

    A session's state is in its folder and in /proc, so another control plane process finds it again.

    home: Bindery's own folder. find_environment, hold_environment: return an image's environment and its hold, or None if it is
    gone. allowed_origins: origins of pages elsewhere that may connect to a session's server with its token (`*`: any).
    """

    def __init__(
        self,
        home: Path,
        contents: Contents,
        clock: Clock,
        *,
        find_environment: FindEnvironment,
        hold_environment: HoldEnvironment,
        allowed_origins: tuple[str, ...] = (),
    ) -> None:
        self._sessions = home.resolve() / "sessions"
        self._mark = hashlib.sha256(str(self._sessions).encode()).hexdigest()[:8]
        self._contents = contents
        self._clock = clock
        self._find_environment = find_environment
        self._hold_environment = hold_environment
        self._allowed_origins = allowed_origins
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._starting: set[str] = set()
        self._stops = Stops()
        self._ports = HeldPorts()

    def start(self, order: SessionOrder) -> None:
        folder = self._folder(order.id)
        with self._alone(order.id):
            record = folder.record()
            if record and alive(record.process):
                return
            if self._stops.closed:
                raise LauncherDown(why="no session begins any more")
            self._starting.add(order.id)
            try:
                self._end(order.id, folder)
                self._begin(order, folder)
            finally:
                self._starting.discard(order.id)

    def wait(self, session: str, token: str, seconds: float) -> SessionReport:
        folder = self._folder(session)
        until = time.monotonic() + seconds
        while True:
            report = self._look(session, token, folder)
            if report.liveness is not Liveness.STARTING or time.monotonic() >= until:
                break
            time.sleep(POLL_SECONDS)
        if report.liveness is not Liveness.STARTING:
            self._ports.let_go(session)
        return report

    def activity(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]:
        """Return the activity of each session, None for one that does not answer.

        No request is sent to a session if another user has taken its port: that user must not see its token.
        """
        listening = socket_owners.listening_users()
        own_sessions = {
            session: at for session, at in sessions.items() if socket_owners.is_our_port(port_of(at[0]), listening)
        }
        answers = activity.poll(own_sessions, seconds, self._clock.now())
        return {**dict.fromkeys(sessions.keys() - own_sessions.keys()), **answers}

    def stop(self, session: str) -> None:
        folder = self._folder(session)
        with self._stops.of(session), self._alone(session):
            self._end(session, folder)

    def list_sessions(self) -> Sequence[SessionObject]:
        starting = set(self._starting)  # read first: a session that leaves this set has a record
        objects: dict[str, SessionObject] = {}
        for process, session in self._marked():
            since = min(started_at(process), objects[session].started if session in objects else float("inf"))
            objects[session] = SessionObject(session, since)
        for session, (since, record) in sessions_on_disk(self._sessions, self._mark).items():
            runs = alive(record.process) if record else session in objects
            objects[session] = SessionObject(session, since, alive=runs or session in starting)
        return list(objects.values())

    def stop_all(self) -> None:
        """Stop every session of this home, also those of an earlier control plane. Failures are logged."""
        with self._stops.of(ALL), ThreadPoolExecutor(8) as threads:
            list(threads.map(self._try_to_stop, {each.id for each in self.list_sessions()} | self._starting))

    def kill_all(self) -> None:
        """Kill every session's processes without waiting for their end. Files stay."""
        for process in with_descendants({process for process, _ in self._marked()}):
            send(process, signal.SIGKILL)

    def close(self) -> None:
        """Refuse new sessions and release this object's ports. Running sessions continue."""
        self._stops.closed = True
        self._ports.close()

    def _try_to_stop(self, session: str) -> None:
        try:
            self.stop(session)
        except (BinderyError, OSError) as error:
            logger.warning("session %s could not be stopped: %s", session, error)

    def _folder(self, session: str) -> SessionFolder:
        return session_folder(self._sessions, self._mark, session)

    @contextlib.contextmanager
    def _alone(self, session: str) -> Iterator[None]:
        """Hold the session's lock: one start or stop at a time."""
        with self._guard:
            lock = self._locks.setdefault(session, threading.Lock())
        with lock:
            yield

    def _begin(self, order: SessionOrder, folder: SessionFolder) -> None:
        """Start the session. On an error, remove all of its files and processes."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._end, order.id, folder)
            try:
                with self._held(order.image) as (environment, lock):
                    folder.create()
                    stopped = partial(self._stops.is_stopping, order.id)
                    notes = checkout(order.repository, environment, self._contents, folder.work, stopped)
                    if environment.home:
                        copy_folder(environment.home, folder.home)
                    else:
                        folder.home.mkdir()
                    prepare_home(folder.home)
                    self._run(order, environment, folder, notes, lock)
            except OSError as error:
                why = "copying failed" if error.errno is None and not is_full(error) else words(error)
                raise LauncherDown(why=f"a session could not be set up: {why}") from error
            undo.pop_all()

    @contextlib.contextmanager
    def _held(self, image: str) -> Iterator[tuple[Environment, int]]:
        """Yield the environment and the descriptor of its lock. A process that inherits the descriptor keeps the environment."""
        hold = self._hold_environment(image)
        environment = self._find_environment(image)
        if hold is None:
            raise ImageGone(image=image)
        with contextlib.closing(hold):
            if environment is None:
                raise ImageGone(image=image)
            yield environment, hold.descriptor

    def _run(
        self,
        order: SessionOrder,
        environment: Environment,
        folder: SessionFolder,
        notes: tuple[str, ...],
        lock: int,
    ) -> None:
        port = self._ports.take(order.id)
        arguments = command(environment, folder, port, self._allowed_origins)
        environment_variables = variables(os.environ, order, environment, folder, self._mark)
        files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        files += [(os.POSIX_SPAWN_OPEN, each, os.devnull, os.O_WRONLY, 0) for each in (1, 2)]
        # The reaper inherits the lock, so the environment is held as long as the session lives.
        lock_action = (os.POSIX_SPAWN_DUP2, lock, ENVIRONMENT_LOCK)
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            environment_variables,
            file_actions=[*files, lock_action],
            setsid=True,
            setsigmask=(),
            setsigdef=UNTOUCHED,
        )
        status = status_of(pid)
        if status is None:
            raise LauncherDown(why="the session's process ended at once")
        created = self._clock.now()
        folder.write(Record(pid=pid, started=status.process.started, port=port, created=created, notes=notes))

    def _look(self, session: str, token: str, folder: SessionFolder) -> SessionReport:
        starting = session in self._starting  # read first: a session that leaves this set has a record
        record = folder.record()
        if record is None:
            return STARTING if starting else SessionReport(Liveness.GONE)
        if not alive(record.process):
            return SessionReport(Liveness.GONE, why=folder.last_log_lines())
        url = f"http://127.0.0.1:{record.port}/"
        is_own = listens(record.port) and socket_owners.is_our_port(record.port, socket_owners.listening_users())
        if is_own and activity.is_session(url, token):
            return SessionReport(Liveness.READY, url=url, notes=record.notes)
        return STARTING

    def _marked(self) -> Iterator[tuple[Process, str]]:
        prefix = f"{self._mark}:"
        for process, value in marked(MARK.encode()):
            mark = value.decode(errors="replace")
            if mark.startswith(prefix) and ID.fullmatch(mark.removeprefix(prefix)):
                yield process, mark.removeprefix(prefix)

    def _end(self, session: str, folder: SessionFolder) -> None:
        """End the session through its reaper. Then kill all processes with the session's mark and their descendants."""
        self._ports.let_go(session)
        record = folder.record()
        if record and alive(record.process):
            send(record.process, signal.SIGTERM, END_SECONDS)
        for _ in range(KILL_ROUNDS):
            remaining = {process for process, mark in self._marked() if mark == session}
            if not remaining:
                break
            for process in with_descendants(remaining):
                send(process, signal.SIGKILL, 1)
        else:
            raise LauncherDown(why="a session's processes cannot be ended")
        try:
            folder.remove()
        except OSError as error:
            raise LauncherDown(why=f"a session's files cannot be removed: {error.strerror}") from error
