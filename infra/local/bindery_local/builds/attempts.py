"""Build attempts on this machine, for every engine: each runs in a thread, in queue order, and its outcome is recorded."""

import contextlib
import functools
import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BinderyError, BuildFailed, BuildServiceDown, BuildTooLong, Retryable
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged
from bindery.ports.queue import Queue
from bindery_builder.build_log import BuildLog
from bindery_builder.process.files import is_full, words
from bindery_builder.process.runner import Stopped, TimeOver
from bindery_builder.task import Manifest, Task, Work
from bindery_local.builds.environments import HANDLE, Hold
from bindery_local.builds.store import Environments
from bindery_local.builds.strays import kill_strays
from bindery_local.builds.worker_pool import Turns

CLOSE_SECONDS = 5.0


@dataclass
class _Running:
    order: BuildOrder
    handle: str
    claim: Hold
    stopped: threading.Event = field(default_factory=threading.Event)
    turn: Callable[[], None] | None = None


class Attempts:
    """Queue of build attempts. At most `slots` run at a time; the others wait.

    begin: creates the engine's work for a task. tidy: frees disk space, before and after each attempt.
    """

    def __init__(
        self,
        store: Environments,
        queue: Queue,
        slots: int,
        begin: Callable[[Task], Work],
        tidy: Callable[[], None],
    ) -> None:
        self._environments, self._queue, self._begin, self._make_room = store, queue, begin, tidy
        self._turns = Turns(slots)
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._unwritten: dict[str, Failure] = {}  # failures that could not be written to disk
        self._closed = False

    def prepare(self) -> None:
        """Create the folders. Raises BuildServiceDown."""
        try:
            self._environments.prepare()
        except OSError as error:
            raise BuildServiceDown(why=f"its folder cannot be made: {words(error)}") from error

    def start(self, order: BuildOrder) -> str:
        """Start an attempt, as defined by the port. `prepare` must be called first."""
        handle = handle_of(order)
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
                running.turn = functools.partial(self._run, running)
                self._turns.take(running.turn)
        return handle

    def status(self, handle: str) -> BuildReport:
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

    def close(self) -> None:
        """End every attempt and wait for it, at most CLOSE_SECONDS. Attempts that hang are cleaned up by the next `recover`.

        Ended attempts count as unknown, so that they may be started again.
        """
        with self._lock:
            self._closed = True
            all_running = list(self._running.values())
        for running in all_running:
            self._stop(running)
        self.wait(CLOSE_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Return True if every attempt has ended within that time and disk space was freed after it."""
        return self._turns.wait(seconds)

    def _stop(self, running: _Running) -> None:
        running.stopped.set()
        if running.turn and self._turns.give_up(running.turn):  # it was still in the queue
            self._settle(running, self._stopped())

    def _stopped(self) -> Failure | None:
        return None if self._closed else Failure.of(BuildFailed(step="build", why="it was stopped"))

    def _run(self, running: _Running) -> None:
        """Run an attempt in a thread of its own and record its outcome."""
        self._settle(running, self._outcome(running))

    def _settle(self, running: _Running, outcome: Manifest | Failure | None) -> None:
        """Record the outcome of an ended attempt and notify the queue. None: it was ended by `close`."""
        handle = running.handle
        try:
            self._record(handle, outcome)
        finally:
            with self._lock:
                del self._running[handle]
            running.claim.close()
        if outcome is None:
            return
        with contextlib.suppress(Retryable):  # best effort: reconcile polls
            self._queue.send(BuildChanged(environment=running.order.environment, attempt=running.order.attempt))
        self._tidy()

    def _tidy(self) -> None:
        with contextlib.suppress(OSError):
            self._make_room()

    def _outcome(self, running: _Running) -> Manifest | Failure | None:
        order, folder = running.order, self._environments.folder(running.handle)
        log = BuildLog(self._queue, order.environment, order.attempt, hidden=str(folder))
        work: Work | None = None
        try:
            self._tidy()  # earlier environments may occupy the space that it needs
            work = self._begin(Task(order, folder, time.monotonic() + order.seconds, running.stopped, log))
            return work.make()
        except Stopped:
            return self._stopped()
        except TimeOver:
            return Failure.of(BuildTooLong(minutes=math.ceil(order.seconds / 60)))
        except BinderyError as error:
            return Failure.of(error)
        except OSError as error:
            return _of_disk(error, work.step if work else "build")
        except Exception as error:  # noqa: BLE001 - outermost handler of a thread: a launch waits for the outcome
            return Failure.of(
                BuildFailed(step=work.step if work else "build", why=f"unexpected {type(error).__name__}")
            )
        finally:
            log.close()
            kill_strays(folder)

    def _record(self, handle: str, outcome: Manifest | Failure | None) -> None:
        """Write the outcome to disk, or keep it in memory: a reported outcome must not change."""
        try:
            match outcome:
                case Manifest():
                    self._environments.commit(handle, outcome)
                case Failure():
                    self._environments.fail(handle, outcome)
                case None:
                    self._environments.abandon(handle)
        except OSError as error:
            if outcome is not None:  # an attempt that counts as unknown leaves no file
                self._record_trouble(handle, outcome if isinstance(outcome, Failure) else _of_disk(error, "build"))

    def _record_trouble(self, handle: str, failure: Failure) -> None:
        try:
            self._environments.fail(handle, failure)  # frees disk space first
        except OSError:
            with self._lock:
                self._unwritten[handle] = failure


def _of_disk(error: OSError, step: str) -> Failure:
    """Return the failure for a disk error. A full disk is this machine's problem and not the repository's."""
    if is_full(error):
        return Failure.of(BuildServiceDown(why=words(error)))
    return Failure.of(BuildFailed(step=step, why=words(error)))


def handle_of(order: BuildOrder) -> str:
    """Return the attempt's handle, which is also its folder's name. A key that is not a valid name is hashed."""
    handle = f"{order.environment}-{order.attempt}"
    if HANDLE.fullmatch(handle):
        return handle
    return f"{hashlib.sha256(order.environment.encode()).hexdigest()}-{order.attempt}"
