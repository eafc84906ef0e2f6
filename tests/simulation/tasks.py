"""A seeded scheduler on a virtual clock. Tasks are greenlets: they switch only where a port is called, never by
themselves.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # the package has no types

from tests.fakes.clock import FakeClock


class Killed(BaseException):
    """The end of a killed function. No code in it may catch this."""


@dataclass
class Task:
    """A run of a function, or a visitor.

    about: the launch it is for, if one. began, until: the times when it begins and is over.
    version: of the deployed code. skew: seconds that its clock is ahead. spared: never killed. troubles: faults it
    met.
    """

    name: str
    about: str
    began: float
    until: float
    greenlet: greenlet
    version: int = 1
    skew: float = 0
    spared: bool = False
    troubles: int = 0


class Scheduler:
    """A scheduler with a method run(). It does due actions, in the order of (time, order of asking), until no action
    is due before `until`.

    task: the task that runs now, if one.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.task: Task | None = None
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._tasks: dict[greenlet, Task] = {}
        self._main = getcurrent()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do `action` later, outside of any task."""
        heapq.heappush(self._agenda, (self.clock.time + seconds, next(self._order), action))

    def spawn(self, name: str, about: str, seconds: float, work: Callable[[], object]) -> Task:
        """Run `work` as a task, from now on, for at most `seconds`."""
        now = self.clock.time
        task: Task = Task(name, about, now, now + seconds, greenlet(lambda: self._work(task, work), self._main))
        self._tasks[task.greenlet] = task
        self.after(0, task.greenlet.switch)
        return task

    def _work(self, task: Task, work: Callable[[], object]) -> None:
        self.task = task
        try:
            work()
        finally:
            del self._tasks[task.greenlet]
            self.task = None

    def pause(self, seconds: float) -> None:
        """Let other tasks run. The task goes on later, or is killed when its time is over. Outside of tasks the call
        has no effect.
        """
        task = self.task
        if task is None:
            return
        over = self.clock.time + seconds > task.until
        self.after(max(0.0, task.until - self.clock.time) if over else seconds, task.greenlet.switch)
        self.task = None
        try:
            self._main.switch()
        finally:
            self.task = task
        if over:
            task.troubles += 1
            raise Killed

    def run(self, until: float) -> None:
        """Run up to and including that time."""
        while self._agenda and self._agenda[0][0] <= until:
            at, _, action = heapq.heappop(self._agenda)
            self.clock.time = max(self.clock.time, at)
            action()
        self.clock.time = max(self.clock.time, until)

    def close(self) -> None:
        """Kill the tasks that still run."""
        for running in list(self._tasks):
            running.throw(Killed)


class TaskClock(FakeClock):
    """The clock port: each function's own, which may differ from the others'. While a task waits, other tasks run."""

    scheduler: Scheduler

    def now(self) -> float:
        task = self.scheduler.task
        return self.time + (task.skew if task else 0)

    def advance(self, seconds: float) -> None:
        self.scheduler.pause(seconds)
