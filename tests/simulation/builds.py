"""The build service port: attempts end by themselves, well or badly; they vanish, come back, or hang until their limit."""

from collections import Counter
from collections.abc import Callable

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.environment import Environment
from bindery.domain.errors import BuildFailed, BuildServiceDown, BuildsRefused, BuildTooLong
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged
from bindery.ports.queue import Queue
from bindery.state.environments import Environments
from tests.fakes.builds import STOPPED, FakeBuilds
from tests.fakes.table import DictTable
from tests.simulation.around import Around

DOWN = "no capacity"
REMEMBERED_SECONDS = 90.0
"""Longer than a function may take that starts one: no service forgets sooner."""
UNSURE_SECONDS = 30.0
"""How long one that was begun may be unknown still."""
FORCED = BuildReport(BuildState.FAILED, failure=STOPPED)
OVERTAKEN = BuildReport(
    BuildState.FAILED, failure=Failure.of(BuildServiceDown(why="another makes it, or nobody wants it"))
)


class SimBuilds(FakeBuilds):
    """The build service port with faults.

    table: an attempt's first step records its handle there. began: called with each attempt that really begins.
    planned: called with the number of seconds that it will take.
    seconds: the time that an attempt takes. begun_at: by handle. stops: called before an attempt that runs is
    stopped.
    removing: called with each image before it is deleted.
    """

    def __init__(
        self,
        around: Around,
        events: Queue,
        table: DictTable,
        began: Callable[[str], None],
        planned: Callable[[BuildOrder, float], None],
    ) -> None:
        super().__init__(events, report_delay=60)
        self._around, self._began, self._planned = around, began, planned
        self._kept = Environments(table, around.clock)
        self.seconds: Callable[[BuildOrder], float] = self._some_seconds
        self.forgotten: Counter[str] = Counter()
        self.begun_at: dict[str, float] = {}
        self.stops: Callable[[str], None] = lambda handle: None
        self.removing: Callable[[str], None] = lambda image: None

    def start(self, order: BuildOrder) -> str:
        self._before(f"start {order.environment}")
        if f"{order.environment}-{order.attempt}" not in self.reports:
            self._around.trouble("build_refused", BuildsRefused(why=DOWN))
        count = len(self.started)
        handle = super().start(order)
        if len(self.started) > count:
            self._began(handle)
            self._plan(order)
            self._replay_older(order)
        self._around.after("builds.start")
        self._around.trouble("build_start_unanswered", BuildServiceDown(why="no answer"))
        return handle

    def status(self, handle: str) -> BuildReport:
        self._before(f"look {handle}")
        young = self._around.now - self.begun_at.get(handle, 0) < UNSURE_SECONDS
        if young and self._around.happens("build_not_known_yet"):
            return BuildReport(BuildState.UNKNOWN)
        return super().status(handle)

    def stop(self, handle: str) -> None:
        self._before(f"stop {handle}")
        if self.runs(handle):
            self.stops(handle)
            self._around.later(self._around.random.choice((0, 20, 40)), lambda: self._end(handle, FORCED))
        self._around.after("builds.stop")

    def image_exists(self, image: str) -> bool:
        self._before(f"has {image}")
        if image in self.images and self._around.happens("image_evicted"):
            self.images.discard(image)
        return super().image_exists(image)

    def remove(self, image: str) -> bool:
        self._before(f"remove {image}")
        self.removing(image)
        removed = super().remove(image)
        self._around.after("builds.remove")
        return removed

    def working(self) -> list[str]:
        """Return the running builds, without those that will end at their first step."""
        return [handle for handle in self.running() if not self.is_given_up(*_attempt_of(handle))]

    def is_given_up(self, environment: str, attempt: int) -> bool:
        """Return True if the build ends at its first step, if it has begun."""
        return self._kept.handle(environment, attempt) == ""

    def runs(self, handle: str) -> bool:
        return super().status(handle).state is BuildState.RUNNING

    def started_at(self, environment: Environment) -> float | None:
        """Return the time when its newest attempt's handle was recorded."""
        started = self._kept.started(environment.key, environment.attempt, environment.claimed_at)
        return started.at if started else None

    def report(self, environment: str, attempt: int) -> BuildReport:
        """Return the service's report of an attempt."""
        return super().status(f"{environment}-{attempt}")

    def _before(self, call: str) -> None:
        self._around.before(f"builds.{call}")
        self._around.trouble("build_service_down", BuildServiceDown(why=DOWN))

    def _some_seconds(self, _order: BuildOrder) -> float:
        kind, part = self._around.random.random(), self._around.random.random()
        return 0.02 if kind < 0.1 else 300 + part * 250 if kind > 0.85 else 5 + part * 200

    def _plan(self, order: BuildOrder) -> None:
        handle, random = f"{order.environment}-{order.attempt}", self._around.random
        waits = random.random() * 300 if self._around.happens("build_waits") else 0.0  # for a machine
        first = waits + random.choice((0.02, 0.5)) * (makes := self.seconds(order))
        seconds = waits + makes
        self.begun_at[handle] = self._around.now
        self._planned(order, seconds)
        self._around.later(first, lambda: self._take_first_step(handle))
        for part in (0.1, 0.6):
            self._around.later(first + (seconds - first) * part, lambda: self._write(handle))
        if self._around.happens("build_vanishes"):
            self._around.later(max(seconds, REMEMBERED_SECONDS), lambda: self._vanish(handle))
        elif self._around.happens("build_hangs"):
            long = BuildReport(BuildState.FAILED, failure=Failure.of(BuildTooLong(minutes=order.seconds // 60)))
            self._around.later(order.seconds, lambda: self._end(handle, long))
        elif self._around.happens("build_fails"):
            bad = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))
            self._around.later(seconds, lambda: self._end(handle, bad))
        else:
            self._around.later(seconds, lambda: self._end(handle, None))

    def _take_first_step(self, handle: str) -> None:
        """Do the first step as bindery_builder.codebuild does on a machine of its own. Its handle is recorded, or the
        build ends.
        """
        if self.runs(handle):
            self._kept.record_start(*_attempt_of(handle), handle)
            if self._kept.handle(*_attempt_of(handle)) != handle:
                self.finish(handle, OVERTAKEN)

    def _replay_older(self, order: BuildOrder) -> None:
        """Send again an event of the attempt before, now that it is long over."""
        if order.attempt > 1 and self._around.happens("event_of_older_attempt"):
            self.queue.send(BuildChanged(environment=order.environment, attempt=order.attempt - 1))

    def _write(self, handle: str) -> None:
        if self.runs(handle):
            self.write(handle, "one", "two", "three")

    def _end(self, handle: str, report: BuildReport | None) -> None:
        if self.runs(handle):
            self.finish(handle, report)

    def _vanish(self, handle: str) -> None:
        """Make the service forget the build. Sometimes it only lost sight of the build, which ends well after all."""
        if not self.runs(handle):
            return
        del self.reports[handle]
        self.forgotten[handle] += 1
        if self._around.happens("build_comes_back"):
            self._around.later(self._around.random.random() * 300, lambda: self._come_back(handle))

    def _come_back(self, handle: str) -> None:
        self.reports[handle] = BuildReport(BuildState.RUNNING)
        self.finish(handle)


def _attempt_of(handle: str) -> tuple[str, int]:
    environment, _, attempt = handle.rpartition("-")
    return environment, int(attempt)
