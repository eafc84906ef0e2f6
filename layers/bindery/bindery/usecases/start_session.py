"""Start a launch's session from its image; mark the launch ready once the session's server answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from bindery.domain.access_policy import Rules
from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import BinderyError, ClusterFull, ImageGone, SessionDied, SessionNotReady
from bindery.domain.failure import Failure
from bindery.domain.launch import BUILT, LAUNCHING, READY, Event, Launch, Phase, Stage
from bindery.domain.messages import SessionRequested, StopRequested
from bindery.domain.sessions import Liveness, Session, SessionOrder, SessionReport, SessionState
from bindery.ports.clock import Clock
from bindery.ports.queue import Queue
from bindery.ports.session_launcher import SessionLauncher
from bindery.state.environments import Environments
from bindery.state.launches import Launches
from bindery.state.sessions import Sessions
from bindery.usecases.steps.retry import RetryStep

WATCH_SECONDS = 8
MOST_HINDRANCES = 5


@dataclass(frozen=True)
class StartSession:
    """Step of a launch that starts its session: record, then objects, then `ready`.

    Another delivery of the message may have done each part.

    start_seconds: how long one try may take until the server answers, including the time in which a cluster makes room.
    """

    launches: Launches
    environments: Environments
    sessions: Sessions
    launcher: SessionLauncher
    queue: Queue
    rules: Callable[[], Rules]
    retry: RetryStep
    clock: Clock
    cull_seconds: float
    start_seconds: float

    def __call__(self, launch: Launch) -> None:
        if launch.stage is Stage.RESOLVING:
            return
        environment = self.environments.find(launch.environment)
        if environment is None or environment.attempt != launch.attempt or not environment.image:
            self.retry(launch, Failure.of(ImageGone(image=launch.image)), Stage.RESOLVING)
        elif launch.build_only:
            self._end_built(launch, environment)
        else:
            self._start(launch, environment)

    def _start(self, launch: Launch, environment: Environment) -> None:
        session = self.sessions.reserve(launch, self.rules().limits(launch.name))
        starting = self._begun(launch, environment)
        if starting is None:
            return
        try:
            report, exists = self._session_state(starting, session, environment)
            self._go_on(starting, session, report.without(session.token), begun=exists)
        except ImageGone as gone:
            self.retry(starting, Failure.of(gone), Stage.RESOLVING)

    def _session_state(self, launch: Launch, session: Session, environment: Environment) -> tuple[SessionReport, bool]:
        """Return the state of the launch's session, and whether any of its objects exists."""
        try:
            if not launch.watched:  # starting again would hide that the session died
                self.launcher.start(_order(launch, session, environment))
        except ClusterFull as full:
            return SessionReport(Liveness.STARTING, trouble=full), False
        return self.launcher.wait(session.id, session.token, WATCH_SECONDS), True

    def _go_on(self, launch: Launch, session: Session, report: SessionReport, *, begun: bool = True) -> None:
        match report.liveness:
            case Liveness.READY:
                self._open(launch, session, report)
            case Liveness.GONE:
                # The session is not stopped here: another try may run under the same name by now. The next start deletes it.
                raise report.trouble or SessionDied(why=report.why)
            case Liveness.STARTING if self.clock.now() - launch.stage_since > self.start_seconds:
                self._give_up(launch, session, report.trouble)
            case Liveness.STARTING:
                self._watch_on(launch, report.trouble, begun)

    def _begun(self, launch: Launch, environment: Environment) -> Launch | None:
        """Return the launch in its STARTING stage at the same step, with its session's id; None if it has moved on since."""
        if launch.stage is Stage.STARTING and launch.session:
            return launch

        def begin(now: Launch) -> Launch | None:
            if not now.awaits(launch.step):
                return None
            if now.stage is Stage.STARTING and now.session:  # another delivery of the message began it meanwhile
                return now
            events = (LAUNCHING,) if now.stage is Stage.STARTING else (BUILT, LAUNCHING)
            fields = {"session": launch.id, "image": environment.image}
            return now.entered(Stage.STARTING, self.clock.now(), *events, **fields)

        return self.launches.change(launch.id, begin)

    def _open(self, launch: Launch, session: Session, report: SessionReport) -> None:
        at = self.clock.now()
        running = session.model_copy(
            update={
                "state": SessionState.RUNNING,
                "url": report.url,
                "notes": report.notes,
                "last_activity": at,
                "image": launch.image,
            }
        )

        def ready(now: Launch) -> Launch | None:
            return now.moved(Stage.READY, at, READY) if now.awaits(launch.step) else None

        opened = self.sessions.mark_running(self.launches, running, ready, self.cull_seconds)
        if opened is None and self.launches.get(launch.id).stage is Stage.FAILED:
            self.queue.send(StopRequested(session=session.id, reason="its launch ended"))

    def _give_up(self, launch: Launch, session: Session, trouble: BinderyError | None) -> NoReturn:
        """Stop a session that runs and does not answer, and raise: only a fresh start may help.

        A session that a later step has started is not stopped.
        """
        if self.launches.get(launch.id).step == launch.step:
            self.launcher.stop(session.id)
        raise trouble or SessionNotReady(seconds=self.start_seconds)

    def _watch_on(self, launch: Launch, trouble: BinderyError | None, begun: bool) -> None:
        def watch(now: Launch) -> Launch | None:
            if not now.awaits(launch.step):
                return None
            return now.moved(Stage.STARTING, self.clock.now(), *_hindrance(now, trouble), watched=begun)

        moved = self.launches.change(launch.id, watch)
        if moved:
            delay = 1 if begun else WATCH_SECONDS
            self.queue.send(SessionRequested(launch=moved.id, step=moved.step), delay=delay)

    def _end_built(self, launch: Launch, environment: Environment) -> None:
        events = (READY,) if launch.stage is Stage.STARTING else (BUILT, READY)

        def done(now: Launch) -> Launch | None:
            if not now.awaits(launch.step):
                return None
            return now.moved(Stage.READY, self.clock.now(), *events, image=environment.image)

        self.launches.change(launch.id, done)


def _hindrance(launch: Launch, trouble: BinderyError | None) -> tuple[Event, ...]:
    """Return the event for the trouble that keeps the session from starting: once for each trouble, a few at most."""
    earlier = [event.trouble for event in launch.events if event.trouble]
    if trouble is None or Failure.of(trouble) in earlier or len(earlier) >= MOST_HINDRANCES:
        return ()
    return (Event(phase=Phase.LAUNCHING, message="", trouble=Failure.of(trouble)),)


def _order(launch: Launch, session: Session, environment: Environment) -> SessionOrder:
    repository = launch.repository
    if repository is None or environment.state is not EnvironmentState.READY:
        raise ImageGone(image=launch.image)
    request = f"v2/{launch.provider}/{launch.spec}"
    persistent = f"v2/{launch.provider}/{repository.resolved_spec}"
    return SessionOrder(
        id=session.id,
        token=session.token,
        image=environment.image,
        scope=environment.scope,
        repository=repository,
        variables={
            "BINDER_LAUNCH_HOST": launch.launch_host,
            "BINDER_REF_URL": repository.ref_url,
            "BINDER_REPO_URL": repository.repo_url,
            "BINDER_REQUEST": request,
            "BINDER_PERSISTENT_REQUEST": persistent,
        },
    )
