"""The local build engine: uv makes a repository's environment on this machine, without containers."""

import contextlib
import functools
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bindery.adapters.builds.attempt import Attempt
from bindery.adapters.builds.disk import is_full, words
from bindery.adapters.builds.environments import HANDLE, Hold, Manifest, environment_of
from bindery.adapters.builds.log import BuildLog
from bindery.adapters.builds.running import Room, Runner, Stopped, TimeOver
from bindery.adapters.builds.store import Environments
from bindery.adapters.builds.strays import end_strays
from bindery.adapters.builds.surroundings import build_environment
from bindery.adapters.builds.turns import Turns
from bindery.adapters.builds.uv_command import UvCommand
from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BinderyError, BuildFailed, BuildServiceDown, BuildTooLong, Retryable
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged
from bindery.ports.clock import Clock
from bindery.ports.contents import Contents
from bindery.ports.queue import Queue

RECIPE = 1  # raised whenever the same files would give another environment
GIGABYTE = 1_000_000_000
CLOSE_SECONDS = 5.0


@dataclass
class _Running:
    order: BuildOrder
    handle: str
    claim: Hold
    stopped: threading.Event = field(default_factory=threading.Event)
    turn: Callable[[], None] | None = None


class UvBuilds:
    """BuildService on this machine. At most `slots` attempts at a time, the others wait their turn.

    home: where environments are kept, at most `max_bytes` of them but for those in use; one that is being
    built may take `max_build_bytes`. contents: lays out repositories.
    uv: the command, found on PATH unless given. Call `recover` once at the start, `close` at the end.
    """

    def __init__(
        self,
        home: Path,
        contents: Contents,
        queue: Queue,
        clock: Clock,
        *,
        slots: int = 2,
        max_bytes: int = 20 * GIGABYTE,
        max_build_bytes: int = 10 * GIGABYTE,
        uv: str = "",
    ) -> None:
        self._environments = Environments(home, clock)
        self._contents, self._queue, self._max_bytes = contents, queue, max_bytes
        self._max_build_bytes = max_build_bytes
        self._uv = UvCommand(uv, self._environments.home)
        self._turns = Turns(slots)
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._unwritten: dict[str, Failure] = {}  # failures that the disk did not take
        self._closed = False

    @property
    def name(self) -> str:
        self._prepare()
        return f"uv {self._uv.version}, Python {self._uv.default_version}, recipe {RECIPE}"

    def start(self, order: BuildOrder) -> str:
        handle = handle_of(order)
        self._prepare()
        _ = self._uv.path  # raises where uv is missing
        with self._lock:
            if self._closed:
                raise BuildServiceDown(why="it is being shut down")
            if handle in self._running or handle in self._unwritten:
                return handle
            try:
                claim = self._environments.claim(handle)
            except OSError as error:
                raise BuildServiceDown(why=words(error)) from error
            if claim is not None:
                running = self._running[handle] = _Running(order, handle, claim)
                running.turn = functools.partial(self._see_to, running)
                self._turns.take(running.turn)
        return handle

    def look(self, handle: str) -> BuildReport:
        with self._lock:
            if handle in self._running:
                return BuildReport(BuildState.RUNNING)
            if failure := self._unwritten.get(handle):
                return BuildReport(BuildState.FAILED, failure=failure)
        return self._environments.report(handle)

    def stop(self, handle: str) -> None:
        with self._lock:
            running = self._running.get(handle)
        if running:
            self._stop(running)

    def has(self, image: str) -> bool:
        if environment_of(self._environments.home, image) is None:
            return False
        try:
            self._environments.touch(image.partition("/")[2])
        except FileNotFoundError:  # evicted between the two
            return False
        return True

    def recover(self) -> None:
        """Take finished environments back into use; remove what a crash left half-built, and its processes."""
        self._prepare()
        self._environments.recover()
        self._environments.evict(self._max_bytes)

    def close(self) -> None:
        """End every attempt and wait for that, CLOSE_SECONDS at most: what hangs is for the next `recover` to clear.

        They count as never heard of, so that they may be started again.
        """
        with self._lock:
            self._closed = True
            all_running = list(self._running.values())
        for running in all_running:
            self._stop(running)
        self._turns.wait(CLOSE_SECONDS)

    def _prepare(self) -> None:
        try:
            self._environments.prepare()
        except OSError as error:
            raise BuildServiceDown(why=f"its folder cannot be made: {words(error)}") from error

    def _stop(self, running: _Running) -> None:
        running.stopped.set()
        if running.turn and self._turns.give_up(running.turn):  # it still waited for its turn
            self._settle(running, self._stopped())

    def _stopped(self) -> Failure | None:
        return None if self._closed else Failure.of(BuildFailed(step="build", why="it was stopped"))

    def _see_to(self, running: _Running) -> None:
        """An attempt's whole life, in a thread of its own."""
        self._settle(running, self._outcome(running))

    def _settle(self, running: _Running, outcome: Manifest | Failure | None) -> None:
        """Whatever happened, it has ended, and somebody is told. None: it was ended by `close`."""
        handle = running.handle
        try:
            self._record(handle, outcome)
        finally:
            with self._lock:
                del self._running[handle]
            running.claim.close()
        if outcome is None:
            return
        with contextlib.suppress(Retryable):  # best effort: reconcile asks
            self._queue.send(BuildChanged(environment=running.order.environment, attempt=running.order.attempt))
        self._evict()

    def _evict(self) -> None:
        with contextlib.suppress(OSError):
            self._environments.evict(self._max_bytes)

    def _outcome(self, running: _Running) -> Manifest | Failure | None:
        order, folder = running.order, self._environments.folder(running.handle)
        log = BuildLog(self._queue, order.environment, order.attempt, hidden=str(folder))
        attempt: Attempt | None = None
        try:
            self._evict()  # its room may be what those before it hold
            environment = build_environment(os.environ, folder, self._uv.cache)
            room = Room(folder, self._max_build_bytes)
            runner = Runner(environment, time.monotonic() + order.seconds, running.stopped, log, room)
            attempt = Attempt(order, folder, self._contents, self._uv, runner, log)
            return attempt.make()
        except Stopped:
            return self._stopped()
        except TimeOver:
            return Failure.of(BuildTooLong(minutes=math.ceil(order.seconds / 60)))
        except BinderyError as error:
            return Failure.of(error)
        except OSError as error:
            return _of_disk(error, attempt.step if attempt else "build")
        except Exception as error:  # noqa: BLE001 - the outermost wrapper of a thread: a launch waits for the outcome
            return Failure.of(
                BuildFailed(step=attempt.step if attempt else "build", why=f"unexpected {type(error).__name__}")
            )
        finally:
            log.close()
            end_strays(folder)

    def _record(self, handle: str, outcome: Manifest | Failure | None) -> None:
        """On disk, or else in memory: an outcome once told stays."""
        try:
            match outcome:
                case Manifest():
                    self._environments.commit(handle, outcome)
                case Failure():
                    self._environments.fail(handle, outcome)
                case None:
                    self._environments.abandon(handle)
        except OSError as error:
            if outcome is not None:  # one that counts as never heard of leaves no word on disk
                self._record_trouble(handle, outcome if isinstance(outcome, Failure) else _of_disk(error, "build"))

    def _record_trouble(self, handle: str, failure: Failure) -> None:
        try:
            self._environments.fail(handle, failure)  # makes room first
        except OSError:
            with self._lock:
                self._unwritten[handle] = failure


def _of_disk(error: OSError, step: str) -> Failure:
    """A full disk is this machine's trouble and no repository's."""
    if is_full(error):
        return Failure.of(BuildServiceDown(why=words(error)))
    return Failure.of(BuildFailed(step=step, why=words(error)))


def handle_of(order: BuildOrder) -> str:
    """Names the attempt everywhere, also as a folder: a key that could not be one is hashed."""
    handle = f"{order.environment}-{order.attempt}"
    if HANDLE.fullmatch(handle):
        return handle
    return f"{hashlib.sha256(order.environment.encode()).hexdigest()}-{order.attempt}"
