"""One seeded scheduler on a virtual clock. What runs are greenlets: they switch only where a port is called, never by themselves."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # the package has no types

from tests.fakes.clock import FakeClock


class Killed(BaseException):
    """The function was killed: nothing in it may catch this."""


@dataclass
class Task:
    """One run of a function, or a visitor. about: the launch it is for, if one. began, until: when its time begins and is over.

    version: of the deployed code. skew: seconds that its clock is ahead. spared: never killed. troubles: faults it met.
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
    """run() does what is due, in the order of (time, order of asking), until nothing is due before `until`."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._tasks: dict[greenlet, Task] = {}
        self._main = getcurrent()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Does `action` outside of any task."""
        heapq.heappush(self._agenda, (self.clock.time + seconds, next(self._order), action))

    def spawn(self, name: str, about: str, seconds: float, work: Callable[[], object]) -> Task:
        """Runs `work` as a task, from now on, for at most `seconds`."""
        now = self.clock.time
        task: Task = Task(name, about, now, now + seconds, greenlet(lambda: self._work(task, work), self._main))
        self._tasks[task.greenlet] = task
        self.after(0, task.greenlet.switch)
        return task

    def _work(self, task: Task, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            del self._tasks[task.greenlet]

    @property
    def task(self) -> Task | None:
        """The task that runs now."""
        running: greenlet = getcurrent()
        return self._tasks.get(running)

    def pause(self, seconds: float) -> None:
        """Lets others run; the task goes on later, or is killed when its time is over. Outside of tasks: nothing."""
        task = self.task
        if task is None:
            return
        over = self.clock.time + seconds > task.until
        self.after(max(0.0, task.until - self.clock.time) if over else seconds, task.greenlet.switch)
        self._main.switch()
        if over:
            task.troubles += 1
            raise Killed

    def run(self, until: float) -> None:
        """Up to and including that time."""
        while self._agenda and self._agenda[0][0] <= until:
            at, _, action = heapq.heappop(self._agenda)
            self.clock.time = max(self.clock.time, at)
            action()
        self.clock.time = max(self.clock.time, until)

    def close(self) -> None:
        """Kills what still runs."""
        for running in list(self._tasks):
            running.throw(Killed)


class TaskClock(FakeClock):
    """The clock port: each function's own, which may be apart from the others'. Time that a task waits for is time for the others."""

    scheduler: Scheduler

    def now(self) -> float:
        task = self.scheduler.task
        return self.time + (task.skew if task else 0)

    def advance(self, seconds: float) -> None:
        self.scheduler.pause(seconds)
