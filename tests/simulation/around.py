"""The surroundings of every call of a port: time that passes, a function that is killed, trouble, and a line in the
story.
"""

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.simulation.faults import Faults
from tests.simulation.story import Entry
from tests.simulation.tasks import Killed, Scheduler, TaskClock

SLOWER = 20
MOST_SKEW_SECONDS = 5.0
SLUGGISH = (
    *("", "", "put ", "get ", "query ", "transact ", "send ", "put launch", "get launch", "put environment"),
    *(
        "get environment",
        "put session",
        "get session",
        "get build",
        "builds.start",
        "builds.status",
        "builds.image_exists",
    ),
    *("sessions.start", "sessions.wait", "sessions.stop", "sessions.list", "waiters", "delete "),
    *("put waiters", "put waiters", "get waiters", "query waiters", "send sessions", "send builds"),
    *("query build-slots", "query build-line", "transact build-slots", "transact build-line", "transact build-line"),
)
"""In each world calls with these words take much longer than the others: what is between beginning and end is found."""


class Around:
    """Surroundings of calls. Before a call it has no effect yet, after it the whole effect is there; in between,
    other tasks may act.

    injected: faults by kind. entries: the story so far. quiet: no story is written, for worlds that are only counted.
    """

    def __init__(self, seed: int, *, quiet: bool = False) -> None:
        self.random = Random(seed)
        self.faults = Faults()
        self.sluggish = self.random.choice(SLUGGISH).split()
        self.latency = self.random.choice((0.01, 0.01, 0.1, 0.5))
        self.injected: Counter[str] = Counter()
        self.entries: list[Entry] = []
        self.quiet = quiet
        self.clock = TaskClock(seed)
        self.clock.scheduler = self.scheduler = Scheduler(self.clock)
        self.started = self.clock.time

    @property
    def now(self) -> float:
        """Return the true time, in virtual seconds. Functions' clocks may differ from it."""
        return self.clock.time

    @property
    def elapsed(self) -> float:
        return self.clock.time - self.started

    def happens(self, fault: str) -> bool:
        """Decide at random if the fault happens this time."""
        rate: float = getattr(self.faults, fault)
        if rate == 0 or self.random.random() >= rate:
            return False
        self.injected[fault] += 1
        task = self.scheduler.task
        if task:
            task.troubles += 1
        return True

    def skew(self) -> float:
        """Return the seconds that a function's clock is ahead of the true time."""
        return (self.random.random() * 2 - 1) * MOST_SKEW_SECONDS if self.happens("clock_apart") else 0

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do the action later, outside of any task."""
        self.scheduler.after(seconds, what)

    def wait(self, seconds: float) -> None:
        """Let other tasks run for some time."""
        self.scheduler.pause(seconds)

    def before(self, call: str) -> None:
        """Go through the way to the call: time, faults and a line of the story."""
        task = self.scheduler.task
        if task is None:
            return
        slow = self.random.random() * 20 if self.happens("slow") else 0
        self.scheduler.pause(self._lasts(call) + slow)
        self.note(call)
        self._may_kill("killed before it")

    def after(self, call: str) -> None:
        """Go through the way back from the call. Its effect stays."""
        self._may_kill(f"killed after {call.partition(' ')[0]}")
        self.scheduler.pause(self._lasts(call))

    def trouble(self, fault: str, error: Exception) -> None:
        """Raise the error if the fault happens. Spared visitors meet no faults."""
        task = self.scheduler.task
        if task and not task.spared and self.happens(fault):
            self.note(f"{fault}: {error}")
            raise error

    def note(self, what: str) -> None:
        """Add a line to the story of the task that runs now."""
        task = self.scheduler.task
        if not self.quiet:
            name, about = (task.name, task.about) if task else ("world", "")
            self.entries.append(Entry(self.elapsed, name, about, what))

    def _may_kill(self, cause: str) -> None:
        task = self.scheduler.task
        if task and not task.spared and self.happens("killed"):
            self.note(cause)
            raise Killed

    def _lasts(self, call: str) -> float:
        """Return the time of a call's way there or back: mostly little, now and then much longer than the next ten."""
        mean = self.latency
        if self.sluggish and all(word in call for word in self.sluggish):
            mean = min(1.5, SLOWER * mean)
        return mean * self.random.expovariate(1)
