"""Sessions as processes of this machine: JupyterLab on loopback, for local use. Not isolated from one another."""

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
from bindery_local.sessions import listeners
from bindery_local.sessions.cancellation import ALL, Stops
from bindery_local.sessions.environment import Environment, FindEnvironment, HoldEnvironment
from bindery_local.sessions.folder import ID, Record, SessionFolder, folder_of, found_on_disk
from bindery_local.sessions.ports import HeldPorts, listens, port_of
from bindery_local.sessions.processes import (
    Process,
    alive,
    marked,
    send,
    started_at,
    status_of,
    with_descendants,
)
from bindery_local.sessions.server import MARK, command, prepare_home, variables
from bindery_local.sessions.working_copy import copy_folder, lay_out

POLL_SECONDS = 0.02
END_SECONDS = 5.0  # the keeper's own grace and what it takes to kill
KILL_ROUNDS = 100
logger = logging.getLogger("bindery")
STARTING = SessionReport(Liveness.STARTING)


class ProcessSessions:
    """The session launcher for this machine. What it must know of a session is in the session's folder and in /proc, so
    another control plane process finds it again.

    home: Bindery's own folder. find_environment, hold_environment: an image's environment and what keeps it, or None if it is gone.
    allowed_origins: pages elsewhere that may talk to a session's server, given its token (`*`: any).
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

    def ask(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]:
        """A session whose port another user has taken does not answer: that user must not see its token."""
        listening = listeners.owners()
        ours = {session: at for session, at in sessions.items() if listeners.is_ours(port_of(at[0]), listening)}
        answers = activity.ask(ours, seconds, self._clock.now())
        return {**dict.fromkeys(sessions.keys() - ours.keys()), **answers}

    def stop(self, session: str) -> None:
        folder = self._folder(session)
        with self._stops.of(session), self._alone(session):
            self._end(session, folder)

    def objects(self) -> Sequence[SessionObject]:
        starting = set(self._starting)  # asked first: the record is there when it no longer is
        found: dict[str, SessionObject] = {}
        for process, session in self._marked():
            since = min(started_at(process), found[session].started if session in found else float("inf"))
            found[session] = SessionObject(session, since)
        for session, (since, record) in found_on_disk(self._sessions, self._mark).items():
            runs = alive(record.process) if record else session in found
            found[session] = SessionObject(session, since, alive=runs or session in starting)
        return list(found.values())

    def stop_all(self) -> None:
        """Stops every session of this home, also those of an earlier control plane. One that cannot be stopped is logged."""
        with self._stops.of(ALL), ThreadPoolExecutor(8) as threads:
            list(threads.map(self._try_to_stop, {each.id for each in self.objects()} | self._starting))

    def kill_all(self) -> None:
        """Kills every session's processes without waiting for their end; files stay."""
        for process in with_descendants({process for process, _ in self._marked()}):
            send(process, signal.SIGKILL)

    def close(self) -> None:
        """No session begins any more, and what this object holds is let go. Sessions live on."""
        self._stops.closed = True
        self._ports.close()

    def _try_to_stop(self, session: str) -> None:
        try:
            self.stop(session)
        except (BinderyError, OSError) as error:
            logger.warning("session %s could not be stopped: %s", session, error)

    def _folder(self, session: str) -> SessionFolder:
        return folder_of(self._sessions, self._mark, session)

    @contextlib.contextmanager
    def _alone(self, session: str) -> Iterator[None]:
        """One start or stop of a session at a time."""
        with self._guard:
            lock = self._locks.setdefault(session, threading.Lock())
        with lock:
            yield

    def _begin(self, order: SessionOrder, folder: SessionFolder) -> None:
        """Starts it, or leaves nothing behind."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._end, order.id, folder)
            try:
                with self._held(order.image) as (environment, lock):
                    folder.create()
                    stopped = partial(self._stops.asked, order.id)
                    notes = lay_out(order.repository, environment, self._contents, folder.work, stopped)
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
        """The environment and the handle that keeps it: whoever inherits the handle keeps the environment too."""
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
        seen = variables(os.environ, order, environment, folder, self._mark)
        files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        files += [(os.POSIX_SPAWN_OPEN, each, os.devnull, os.O_WRONLY, 0) for each in (1, 2)]
        # The lock goes on in the keeper, so the environment is held as long as the session lives.
        held = (os.POSIX_SPAWN_DUP2, lock, ENVIRONMENT_LOCK)
        pid = os.posix_spawn(
            arguments[0], arguments, seen, file_actions=[*files, held], setsid=True, setsigmask=(), setsigdef=UNTOUCHED
        )
        status = status_of(pid)
        if status is None:
            raise LauncherDown(why="the session's process ended at once")
        created = self._clock.now()
        folder.write(Record(pid=pid, started=status.process.started, port=port, created=created, notes=notes))

    def _look(self, session: str, token: str, folder: SessionFolder) -> SessionReport:
        starting = session in self._starting  # asked first: the record is there when it no longer is
        record = folder.record()
        if record is None:
            return STARTING if starting else SessionReport(Liveness.GONE)
        if not alive(record.process):
            return SessionReport(Liveness.GONE, why=folder.last_words())
        url = f"http://127.0.0.1:{record.port}/"
        ours = listens(record.port) and listeners.is_ours(record.port, listeners.owners())
        if ours and activity.is_session(url, token):
            return SessionReport(Liveness.READY, url=url, notes=record.notes)
        return STARTING

    def _marked(self) -> Iterator[tuple[Process, str]]:
        ours = f"{self._mark}:"
        for process, value in marked(MARK.encode()):
            mark = value.decode(errors="replace")
            if mark.startswith(ours) and ID.fullmatch(mark.removeprefix(ours)):
                yield process, mark.removeprefix(ours)

    def _end(self, session: str, folder: SessionFolder) -> None:
        """Asks the keeper to end the session; then whatever still bears the mark is killed, with all that it started."""
        self._ports.let_go(session)
        record = folder.record()
        if record and alive(record.process):
            send(record.process, signal.SIGTERM, END_SECONDS)
        for _ in range(KILL_ROUNDS):
            left = {process for process, mark in self._marked() if mark == session}
            if not left:
                break
            for process in with_descendants(left):
                send(process, signal.SIGKILL, 1)
        else:
            raise LauncherDown(why="a session's processes cannot be ended")
        try:
            folder.remove()
        except OSError as error:
            raise LauncherDown(why=f"a session's files cannot be removed: {error.strerror}") from error
