"""What surrounds every call of a port: time that passes, a function that is killed, trouble, and a line in the story."""

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.simulation.faults import Faults
from tests.simulation.story import Told
from tests.simulation.tasks import Killed, Scheduler, TaskClock

SLOWER = 20
MOST_SKEW_SECONDS = 5.0
SLUGGISH = (
    *("", "", "put ", "get ", "query ", "transact ", "send ", "put launch", "get launch", "put environment"),
    *("get environment", "put session", "get session", "get build", "builds.start", "builds.look", "builds.has"),
    *("sessions.start", "sessions.wait", "sessions.stop", "sessions.objects", "waiters", "delete "),
    *("put waiters", "put waiters", "get waiters", "query waiters", "send sessions", "send builds"),
    *("query build-slots", "query build-line", "transact build-slots", "transact build-line", "transact build-line"),
)
"""In each world calls with these words take much longer than the others: what is between beginning and end is found."""


class Around:
    """Before a call nothing of it has happened, after it everything has; in between, everybody else may have acted.

    injected: faults by kind. told: the story so far. quiet: nothing is told, for worlds that are only counted.
    """

    def __init__(self, seed: int, *, quiet: bool = False) -> None:
        self.random = Random(seed)
        self.faults = Faults()
        self.sluggish = self.random.choice(SLUGGISH).split()
        self.latency = self.random.choice((0.01, 0.01, 0.1, 0.5))
        self.injected: Counter[str] = Counter()
        self.told: list[Told] = []
        self.quiet = quiet
        self.clock = TaskClock(seed)
        self.clock.scheduler = self.scheduler = Scheduler(self.clock)
        self.started = self.clock.time

    @property
    def now(self) -> float:
        """True time, in virtual seconds; what clocks of functions say may be apart from it."""
        return self.clock.time

    @property
    def elapsed(self) -> float:
        return self.clock.time - self.started

    def happens(self, fault: str) -> bool:
        """Whether it does this time."""
        rate: float = getattr(self.faults, fault)
        if rate == 0 or self.random.random() >= rate:
            return False
        self.injected[fault] += 1
        task = self.scheduler.task
        if task:
            task.troubles += 1
        return True

    def skew(self) -> float:
        """How far a function's clock is ahead of the true time."""
        return (self.random.random() * 2 - 1) * MOST_SKEW_SECONDS if self.happens("clock_apart") else 0

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Does it outside of any task."""
        self.scheduler.after(seconds, what)

    def wait(self, seconds: float) -> None:
        """Time for the others."""
        self.scheduler.pause(seconds)

    def before(self, call: str) -> None:
        """The way there."""
        task = self.scheduler.task
        if task is None:
            return
        slow = self.random.random() * 20 if self.happens("slow") else 0
        self.scheduler.pause(self._lasts(call) + slow)
        self.note(call)
        self._may_kill("killed before it")

    def after(self, call: str) -> None:
        """The way back: what was done stays done."""
        self._may_kill(f"killed after {call.partition(' ')[0]}")
        self.scheduler.pause(self._lasts(call))

    def trouble(self, fault: str, error: Exception) -> None:
        """Raises it, if the fault happens; visitors who are spared meet none."""
        task = self.scheduler.task
        if task and not task.spared and self.happens(fault):
            self.note(f"{fault}: {error}")
            raise error

    def note(self, what: str) -> None:
        """A line of the story of whoever runs now."""
        task = self.scheduler.task
        if not self.quiet:
            name, about = (task.name, task.about) if task else ("world", "")
            self.told.append(Told(self.elapsed, name, about, what))

    def _may_kill(self, told: str) -> None:
        task = self.scheduler.task
        if task and not task.spared and self.happens("killed"):
            self.note(told)
            raise Killed

    def _lasts(self, call: str) -> float:
        """How long a call's way there or back takes: mostly little, now and then much longer than the next ten."""
        slow = bool(self.sluggish) and all(word in call for word in self.sluggish)
        mean = min(1.5, SLOWER * self.latency) if slow else self.latency
        return mean * self.random.expovariate(1)
