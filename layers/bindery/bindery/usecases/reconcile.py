"""Timer: recover lost messages, move stuck launches on or fail them, delete leftovers.

Timers only nominate records. Each nominated record is read again and changed conditionally.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import BinderyError, BuildsQueued, BuildsRefused, DeadlinePassed
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import BuildChanged, BuildRequested, StopRequested
from bindery.domain.sessions import Session, SessionObject, SessionState
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.session_launcher import SessionLauncher
from bindery.state.build_slots import BuildSlots
from bindery.state.environments import LOOK_AGAIN_SECONDS, Environments
from bindery.state.launches import PATIENCE_SECONDS, Launches
from bindery.state.sessions import Sessions
from bindery.usecases.record_build import RecordBuild
from bindery.usecases.render_metrics import RenderMetrics
from bindery.usecases.steps.advance import Advance
from bindery.usecases.steps.count_launches import CountLaunches
from bindery.usecases.steps.end_launch import EndLaunch
from bindery.usecases.steps.evict_images import EvictImages
from bindery.usecases.steps.recount_quotas import RecountQuotas
from bindery.usecases.steps.release_slots import ReleaseSlots
from bindery.usecases.steps.stop_unwanted import StopUnwanted

logger = logging.getLogger("bindery")
BUILD_GRACE_SECONDS = 120
MOST_LAUNCHES = 1000


@dataclass(frozen=True)
class Reconcile:
    """Sweep over launches, environments, build slots, sessions, counts and metrics.

    render_metrics: None where no client could read /metrics. build_seconds: a build's limit, from its start.
    start_seconds: the record of an object younger than this may not be visible yet.
    """

    launches: Launches
    environments: Environments
    sessions: Sessions
    slots: BuildSlots
    builds: BuildService
    launcher: SessionLauncher
    queue: Queue
    advance: Advance
    end_launch: EndLaunch
    record_build: RecordBuild
    stop_unwanted: StopUnwanted
    release_slots: ReleaseSlots
    recount: RecountQuotas
    evict_images: EvictImages
    tally: CountLaunches
    render_metrics: RenderMetrics | None
    clock: Clock
    build_seconds: int
    start_seconds: float = 60

    def __call__(self, ahead: float = 0) -> None:
        """Handle due records, and records that are due within `ahead` seconds, as after a crash that lost every message.

        Launches come first: trouble with a cluster or a build must not keep a launch from its end.
        """
        with _trouble_of("launches"):
            for launch in self.launches.due(ahead, MOST_LAUNCHES):
                with _trouble_of(f"launch {launch.id}"):
                    self._launch(launch, ahead)
        with _trouble_of("environments"):
            for environment in self.environments.due(ahead):
                with _trouble_of(f"environment {environment.key}"):
                    self._environment(environment)
        with _trouble_of("build slots"):
            self.release_slots.recover()
        self._sessions()
        with _trouble_of("counts"):
            self.tally()
        if self.render_metrics:
            with _trouble_of("metrics"):
                self.render_metrics()

    def _sessions(self) -> None:
        """Compare sessions with the cluster, with their places and with the images. All sessions are read once."""
        objects: dict[str, SessionObject] | None = None
        listed_at = self.clock.now()
        with _trouble_of("the cluster"):
            objects = {item.id: item for item in self.launcher.list_sessions()}
        with _trouble_of("sessions"):
            # After the cluster: a session that starts in between has its record by now.
            alive = list(self.sessions.alive())
            if objects is not None:
                with _trouble_of("sessions"):
                    self._compare(objects, alive, listed_at)
            with _trouble_of("places"):
                self.recount(alive)
            with _trouble_of("images"):
                self.evict_images({session.image for session in alive})

    def _launch(self, nominated: Launch, ahead: float) -> None:
        launch = self.launches.change(nominated.id, lambda now: _due_again(now, self.clock.now() + ahead))
        if launch is None:
            return
        if self.clock.now() >= launch.deadline:
            self.end_launch(launch.id, self._late(launch))
        else:
            self.advance(launch)

    def _late(self, launch: Launch) -> BinderyError:
        """Return why the launch's deadline has passed."""
        minutes = round((launch.deadline - launch.created_at) / 60)
        if launch.stage is not Stage.BUILDING or not self.slots.waits(launch.environment, launch.attempt):
            return DeadlinePassed(minutes=minutes)
        refusal = self.slots.refusal(launch.environment, launch.attempt)
        return BuildsRefused(why=refusal) if refusal else BuildsQueued(minutes=minutes)

    def _environment(self, nominated: Environment) -> None:
        current = self.environments.find(nominated.key)
        if current is None:
            return
        if current.state is EnvironmentState.BUILDING:
            started = self.environments.started(current.key, current.attempt, current.claimed_at)
            pause = float(LOOK_AGAIN_SECONDS)
            if started is None:
                if not self.slots.waits(current.key, current.attempt):
                    self.queue.send(BuildRequested(environment=current.key, attempt=current.attempt))
            elif self.clock.now() - started.at > self.build_seconds + BUILD_GRACE_SECONDS:
                self.builds.stop(started.handle)
            else:
                pause = self.stop_unwanted(current, started.handle)
            self.environments.postpone(current.key, pause)
        self.record_build(BuildChanged(environment=current.key, attempt=current.attempt))

    def _compare(self, objects: Mapping[str, SessionObject], alive: Sequence[Session], listed_at: float) -> None:
        """Compare the two lists of sessions. Healthy sessions need no further read; only the others are read again."""
        recorded = set()
        for nominated in alive:
            recorded.add(nominated.id)
            item = objects.get(nominated.id)
            if nominated.state is not SessionState.RUNNING or not (item and item.alive):
                with _trouble_of(f"session {nominated.id}"):
                    self._session(nominated.id, item, listed_at)
        for item in objects.values():
            if item.id not in recorded and self.clock.now() - item.started >= self.start_seconds:
                with _trouble_of(f"object {item.id}"):
                    self._object(item.id)
        if recorded:  # for alarms and dashboards; a Bindery at rest is silent
            logger.info("sessions compared", extra={"sessions": len(recorded)})

    def _session(self, nominated: str, item: SessionObject | None, listed_at: float) -> None:
        session = self.sessions.find(nominated)
        if session and (reason := self._over(session, item, listed_at)):
            self.queue.send(StopRequested(session=session.id, reason=reason))

    def _object(self, nominated: str) -> None:
        session = self.sessions.find(nominated)
        if session is None or session.state is SessionState.ENDED:
            self.launcher.stop(nominated)

    def _over(self, session: Session, item: SessionObject | None, listed_at: float) -> str:
        """Return the reason to stop a session; empty if it is healthy, or may yet start. The list may be old: that alone is no reason."""
        young = listed_at - max(session.created_at, session.last_activity) < self.start_seconds
        match session.state:
            case SessionState.STOPPING:
                return session.reason
            case SessionState.RUNNING if not (item and item.alive) and not young:
                return (item and item.why) or "its server ended"
            case SessionState.STARTING:
                launch = self.launches.find(session.id)
                # If the launch is ready by now, its session is running, although the record read before says STARTING.
                failed = launch is None or launch.stage is Stage.FAILED
                return "its launch ended" if failed else ""
            case _:
                return ""


def _due_again(launch: Launch, until: float) -> Launch | None:
    """Return the launch to write back, so that it is due again later; None for a launch that has just moved on by itself.

    A launch that waits for its own message, not for a build, should not need this sweep.
    """
    if launch.ended:
        return None
    if launch.stage is Stage.BUILDING:
        return launch
    return launch.rescued() if until >= min(launch.stage_since + PATIENCE_SECONDS, launch.deadline) else None


@contextmanager
def _trouble_of(subject: str) -> Iterator[None]:
    """Log an error of one record, so that the sweep goes on. The record stays due."""
    try:
        yield
    except BinderyError as error:
        logger.warning("reconcile met trouble with %s: %s", subject, error)
