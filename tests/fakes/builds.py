"""A build service in which a test ends each attempt."""

from dataclasses import dataclass, field

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BuildFailed, BuildsRefused
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged, LogLine, LogWritten
from bindery.ports.queue import Queue

STOPPED = Failure.of(BuildFailed(step="build", why="it was stopped"))


@dataclass
class FakeBuilds:
    """The build service port, synchronous.

    started: the orders of all attempts that really began, in order, once each.
    refusal: the reason for refusing new builds. New builds are accepted while it is empty.
    images: the images that can be run. An image counts as evicted once a test removes it.
    reports: the attempts' reports by handle. An attempt counts as forgotten once a test removes its handle.
    """

    queue: Queue
    name: str = "fake 1"
    report_delay: float = 0
    refusal: str = ""
    started: list[BuildOrder] = field(default_factory=list)
    reports: dict[str, BuildReport] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    _orders: dict[str, BuildOrder] = field(default_factory=dict)
    _lines: dict[str, int] = field(default_factory=dict)

    def start(self, order: BuildOrder) -> str:
        handle = f"{order.environment}-{order.attempt}"
        if handle not in self.reports:
            if self.refusal:
                raise BuildsRefused(why=self.refusal)
            self.reports[handle] = BuildReport(BuildState.RUNNING)
            self.started.append(order)
            self._orders[handle] = order
        return handle

    def status(self, handle: str) -> BuildReport:
        return self.reports.get(handle, BuildReport(BuildState.UNKNOWN))

    def stop(self, handle: str) -> None:
        if (
            FakeBuilds.status(self, handle).state is BuildState.RUNNING
        ):  # independent of the answers that a test sets in `look`
            self.finish(handle, BuildReport(BuildState.FAILED, failure=STOPPED))

    def image_exists(self, image: str) -> bool:
        return image in self.images

    def remove(self, image: str) -> bool:
        self.images.discard(image)
        return True

    def running(self) -> list[str]:
        """Return the handles of the attempts that run or are about to run."""
        return [handle for handle, report in self.reports.items() if report.state is BuildState.RUNNING]

    def write(self, handle: str, *messages: str, phase: str = "building") -> None:
        """Print these lines as a running attempt does."""
        order, first = self._orders[handle], self._lines.get(handle, 0)
        lines = tuple(
            LogLine(number=first + n, phase=phase, message=f"{message}\n") for n, message in enumerate(messages)
        )
        self._lines[handle] = first + len(lines)
        self.queue.send(LogWritten(environment=order.environment, attempt=order.attempt, lines=lines))

    def finish(self, handle: str, report: BuildReport | None = None) -> None:
        """End a running attempt with this report. Without a report it succeeds, with an image named after its handle."""
        if FakeBuilds.status(self, handle).state is not BuildState.RUNNING:
            raise ValueError(f"{handle} is not running")
        report = report or BuildReport(BuildState.SUCCEEDED, image=f"fake/{handle}")
        self.reports[handle] = report
        if report.image:
            self.images.add(report.image)
        order = self._orders[handle]
        self.queue.send(BuildChanged(environment=order.environment, attempt=order.attempt))
