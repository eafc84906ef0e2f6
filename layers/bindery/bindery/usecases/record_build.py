"""Handle an event of a build: ask the build service for its state, and notify the waiting launches."""

import logging
from dataclasses import dataclass

from bindery.domain.builds import BuildState
from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import BuildLost, BuildStopped
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.state.counters import Counters
from bindery.state.environments import Environments
from bindery.usecases.steps.advance_waiters import AdvanceWaiters
from bindery.usecases.steps.count_launches import SECONDS
from bindery.usecases.steps.release_slots import ReleaseSlots

logger = logging.getLogger("bindery")


@dataclass(frozen=True)
class RecordBuild:
    """Recorder of build outcomes.

    Events are hints: they may be late, doubled or out of order. The outcome is written first; each waiter is removed after it
    moved on.
    """

    environments: Environments
    builds: BuildService
    counters: Counters
    advance_waiters: AdvanceWaiters
    release_slots: ReleaseSlots
    clock: Clock

    def __call__(self, changed: BuildChanged) -> None:
        environment = self.environments.find(changed.environment)
        if environment and not _over(environment, changed.attempt):
            self._ask(environment)
            environment = self.environments.find(changed.environment)
        if environment and _over(environment, changed.attempt):
            self.release_slots(environment.key, changed.attempt)
            self.advance_waiters(environment, changed.attempt)

    def _ask(self, environment: Environment) -> None:
        started = self.environments.started(environment.key, environment.attempt, environment.claimed_at)
        if started is None:  # it waits for a slot, or reconcile sees to it
            return
        report = self.builds.status(started.handle)
        match report.state:
            case BuildState.RUNNING:
                return
            case BuildState.UNKNOWN if self.clock.now() - started.at < self.builds.report_delay:
                return
            case BuildState.SUCCEEDED:
                ended = self.environments.finish(environment.key, environment.attempt, image=report.image)
            case BuildState.FAILED:
                failure = Failure.of(BuildStopped()) if started.unwanted else report.failure
                ended = self.environments.finish(environment.key, environment.attempt, failure=failure)
            case BuildState.UNKNOWN:
                lost = Failure.of(BuildLost())
                ended = self.environments.finish(environment.key, environment.attempt, failure=lost)
        if ended and ended.ended_at:
            self._count(ended, ended.ended_at - started.at)

    def _count(self, ended: Environment, seconds: float) -> None:
        """Count the build for /metrics, and write the log line that alarms and dashboards count."""
        status = "success" if ended.image else "stopped" if _was_stopped(ended) else "failure"
        self.counters.add("binderhub_build_count", status=status)
        self.counters.observe("binderhub_build_time_seconds", seconds, SECONDS, status=status)
        outcome = "stopped" if _was_stopped(ended) else ended.state.value
        fields = {"environment": ended.key, "attempt": ended.attempt, "outcome": outcome, "seconds": seconds}
        logger.info("build ended", extra=fields)


def _was_stopped(environment: Environment) -> bool:
    """Return True if the newest attempt was stopped because no launch waited for it: neither the service nor the repository failed."""
    return environment.failure is not None and environment.failure.kind == BuildStopped.__name__


def _over(environment: Environment, attempt: int) -> bool:
    """Return True if this attempt has ended. An attempt that no launch has claimed yet has not ended."""
    if environment.attempt == attempt:
        return environment.state is not EnvironmentState.BUILDING
    return environment.attempt > attempt
