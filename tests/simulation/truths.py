"""Truths that the system's statements must match: a launch's failure or success, a build's outcome, a session's
reason to stop.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bindery.bootstrap import System
from bindery.domain import errors
from bindery.domain.builds import BuildState
from bindery.domain.environment import Environment, EnvironmentState
from bindery.domain.errors import Retryable
from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import Message, ResolveRequested, SessionRequested, StopRequested
from bindery.domain.sessions import SessionState
from bindery.usecases.reconcile import BUILD_GRACE_SECONDS
from bindery.usecases.steps.retry import DELAYS, RETRIES
from bindery.usecases.steps.run_step import MAX_UNREPORTED_STARTS
from bindery.web.errors.catalog import GENERAL
from bindery.web.errors.render import BY_KIND, error_message
from tests.fakes.builds import STOPPED
from tests.simulation.around import MOST_SKEW_SECONDS, Around
from tests.simulation.broken import Broken
from tests.simulation.builds import SimBuilds
from tests.simulation.hosts import is_own
from tests.simulation.invariants import Watched
from tests.simulation.sessions import Facts, SimSessions

SLACK_SECONDS = 2 * MOST_SKEW_SECONDS
SILENCES = 3
UNWANTED_SECONDS = 60
"""How long a build goes on that no launch waits for, as documented."""
MOST_SENDS = 60
NEVER_STARTED = Facts()


@dataclass
class Truths:
    """The truths about launches, builds and sessions.

    stopped: launches that a visitor wanted to end. buried: dead letters so far. asked_to_stop: sessions, with the
    first reason.
    unreported: by launch, functions that may have left its step without a word: killed, or in trouble with the table.
    unwanted: builds that were stopped because no launch waited for them.
    """

    around: Around
    builds: SimBuilds
    sessions: SimSessions
    system: System
    watched: Watched = field(init=False)
    stopped: set[str] = field(default_factory=set)
    buried: list[str] = field(default_factory=list)
    asked_to_stop: dict[str, str] = field(default_factory=dict)
    unwanted: set[str] = field(default_factory=set)
    steps: Counter[tuple[str, int]] = field(default_factory=Counter)
    unreported: Counter[str] = field(default_factory=Counter)

    def failed(self, before: Launch | None, launch: Launch) -> None:
        """Check a launch that has just failed: a person can read the reason, and it is true."""
        failure = launch.failure
        if failure is None or failure.kind not in BY_KIND:
            raise Broken(f"a launch failed without a reason: {failure}", launch.id)
        if error_message(failure).message == GENERAL.sentence:
            raise Broken(f"a launch failed for a reason without a face: {failure}", launch.id)
        if before is None or not self._is_so(failure, before):
            raise Broken(f"a launch failed, and it is not so: {failure}", launch.id)

    def _is_so(self, failure: Failure, before: Launch) -> bool:
        checks: Mapping[str, Callable[[Launch], bool]] = {
            "BuildFailed": lambda launch: self._built_so(launch, failure),
            "BuildTooLong": lambda launch: self._built_so(launch, failure),
            "BuildsQueued": self._waits_in_line,
            "BuildsRefused": lambda launch: self._waits_in_line(launch) and self.around.injected["build_refused"] > 0,
            "DeadlinePassed": lambda launch: self.around.now >= launch.deadline - SLACK_SECONDS,
            "HostLimited": lambda launch: launch.stage is Stage.RESOLVING and self.around.injected["host_limits"] > 0,
            "ForeignCommit": lambda launch: self.system.settings.own_refs_only and launch.spec.endswith("/pull"),
            "LaunchStopped": lambda launch: launch.id in self.stopped,
            "QuotaReached": lambda _: self.watched.total is not None,
            "RepositoryQuotaReached": lambda _: self.watched.per_repository is not None,
            "OwnerBuildsReached": lambda _: self.watched.turns.limits.owner_in_line is not None,
            "TooManyBuilds": lambda _: self.watched.turns.limits.client_in_line is not None,
            "TooManySessions": lambda _: self.watched.turns.limits.client_sessions is not None,
            "RefNotFound": lambda launch: "missing" in launch.spec,
            "SessionEnded": lambda launch: launch.id in self.asked_to_stop,
            "StepCrashed": lambda launch: (
                launch.begun >= MAX_UNREPORTED_STARTS and self.unreported[launch.id] >= MAX_UNREPORTED_STARTS
            ),
            "StepFailed": lambda launch: any(
                launch.id in body or (launch.environment and launch.environment in body) for body in self.buried
            ),
        }
        if failure.kind in checks:
            return checks[failure.kind](before)
        kind: type[errors.BinderyError] = getattr(errors, failure.kind)
        return issubclass(kind, Retryable) and _tried_enough(before)

    def _built_so(self, launch: Launch, failure: Failure) -> bool:
        """Return True if the build failed in this way.

        A stop because no launch waited for the build does not count: then the launch goes on with the next attempt.
        """
        if failure == STOPPED and f"{launch.environment}-{launch.attempt}" in self.unwanted:
            return False
        return self.builds.report(launch.environment, launch.attempt).failure == failure

    def _waits_in_line(self, launch: Launch) -> bool:
        """Return True if the launch is over its time and waits for a build that was not begun.

        A launch that got its turn in this moment counts, too.
        """
        over = self.around.now >= launch.deadline - SLACK_SECONDS
        return over and self.watched.turns.was_in_line(
            launch.environment, launch.attempt, self.around.now - SLACK_SECONDS
        )

    def ready(self, launch: Launch) -> None:
        """Check a launch that has just become ready: its session runs, answered as this session, in the right image,
        with the right files.
        """
        if self.system.settings.own_refs_only and not (launch.repository and is_own(launch.repository)):
            raise Broken("a launch is ready at a commit that is on no branch", launch.id)
        image = self.builds.report(launch.environment, launch.attempt).image
        if not _image_of(launch.image, launch.environment) or (image and image != launch.image):
            raise Broken(f"a launch is ready in {launch.image}", launch.id)
        if launch.build_only:
            return
        session, object_ = self.watched.sessions.get(launch.session), self.sessions.running.get(launch.session)
        if session is None or session.state is not SessionState.RUNNING or not session.url:
            raise Broken("a launch is ready without a running session", launch.id)
        if object_ is None:
            if not self.around.injected["session_vanishes"]:
                raise Broken("a launch is ready and its session has no object", launch.id)
            return
        order = object_.order
        if not self.sessions.facts[launch.session].answered:
            raise Broken("a launch is ready and its server never answered", launch.id)
        if (order.repository, order.token) != (launch.repository, session.token):
            raise Broken("a launch is ready with another content or token", launch.id)
        if not _image_of(order.image, launch.environment):
            raise Broken(f"a launch is ready with {order.image}", launch.id)

    def outcome(self, environment: Environment) -> None:
        """Check an attempt's outcome in the table: the build service says the same, unless it has forgotten."""
        report = self.builds.report(environment.key, environment.attempt)
        lost = environment.failure is not None and environment.failure.kind == "BuildLost"
        given_up = self.builds.is_given_up(environment.key, environment.attempt)
        if report.state is BuildState.RUNNING and not lost and not given_up:
            raise Broken(f"a build runs and is {environment.state} already", environment.key)
        if environment.state is EnvironmentState.READY and report.state is BuildState.SUCCEEDED:
            if environment.image != report.image:
                raise Broken(f"an environment has the image {environment.image}", environment.key)
        elif environment.state is EnvironmentState.READY and report.state is BuildState.FAILED:
            raise Broken("a build failed and its environment is ready", environment.key)
        elif not lost and report.state is BuildState.SUCCEEDED and environment.state is not EnvironmentState.EVICTED:
            raise Broken("a build went well and its environment failed", environment.key)

    def begins(self, handle: str) -> None:
        """Check a build that has just begun: a launch waits for it, or did when the function that started it began."""
        environment, task = handle.rpartition("-")[0], self.around.scheduler.task
        if task and not self.watched.is_wanted(environment, task.began):
            raise Broken("a build begins, and no launch waits for it", environment)

    def stops(self, handle: str) -> None:
        """Check a build that is about to be stopped.

        It is over its time, or not to be made any more, or no launch has waited for it for long enough.
        """
        key, _, attempt = handle.rpartition("-")
        environment, task, now = self.watched.environments[key], self.around.scheduler.task, self.around.now
        limit = self.system.settings.build_seconds + BUILD_GRACE_SECONDS - SLACK_SECONDS
        started_at = self.builds.started_at(environment)
        if not environment.is_making(int(attempt)) or (started_at is not None and now - started_at > limit):
            return
        self.unwanted.add(handle)
        if task and self.watched.waited_since(key, task.began):
            raise Broken("a build is stopped, and a launch waits for it", key)
        last_left = self.watched.last_left.get(key, 0)
        if task and last_left < task.began and last_left > now - UNWANTED_SECONDS + SLACK_SECONDS:
            raise Broken("a build is stopped too soon after the last launch that waited for it", key)

    def runs_unwanted(self, handle: str, since: float) -> bool:
        """Return True if a build that was recorded as started before then runs although no launch has waited for it
        since then.
        """
        key, _, attempt = handle.rpartition("-")
        environment = self.watched.environments[key]
        started_at = self.builds.started_at(environment)
        long = started_at is not None and started_at < since and environment.is_making(int(attempt))
        return long and handle not in self.unwanted and not self.watched.is_wanted(key, since)

    def is_idle(self, environment: str, attempt: int, since: float) -> bool:
        """Return True if the attempt has never begun, and no launch has waited for it since then."""
        return f"{environment}-{attempt}" not in self.builds.begun_at and not self.watched.is_wanted(environment, since)

    def orphaned(self, launch: Launch) -> bool:
        """Return True if the launch waits for a build that was never started, claimed by a launch that has failed."""
        environment = self.watched.environments.get(launch.environment)
        if environment is None or launch.stage is not Stage.BUILDING:
            return False
        never = self.builds.report(environment.key, environment.attempt).state is BuildState.UNKNOWN
        return never and self.watched.launches[environment.claimed_by].stage is Stage.FAILED

    def check_waiters_notified(self, key: str, attempt: int) -> None:
        """Check that each launch that waited for an attempt knows of its end by now."""
        for launch in self.watched.launches.values():
            if launch.stage is Stage.BUILDING and (launch.environment, launch.attempt) == (key, attempt):
                raise Broken("a build ended, and a launch that waits for it does not know", launch.id)

    def check_buried(self, body: str) -> None:
        """Check a dead letter of any version that named a launch. It has been answered: the launch has ended, or gone
        past that step.
        """
        payload = json.loads(body)
        launch = self.watched.launches.get(payload.get("launch", ""))
        if launch and not launch.ended and launch.step <= payload.get("step", launch.step):
            raise Broken("a message was lost for good, and its launch knows nothing of it", launch.id)

    def check_message(self, message: Message) -> None:
        """Check a message before it is sent: it bears no token, and a request to stop a session has a true reason."""
        self.watched.check_no_token(message.model_dump_json(), "")
        self._check_forks(message)
        if isinstance(message, StopRequested):
            self.asked_to_stop.setdefault(message.session, message.reason)
            if not self._may_stop(message):
                raise Broken(f"a session is stopped, and it is not so that {message.reason}", message.session)

    def _check_forks(self, message: Message) -> None:
        """Check that a step is sent again only for a reason, and not too often."""
        if isinstance(message, ResolveRequested | SessionRequested):
            self.steps[message.launch, message.step] += 1
            if self.steps[message.launch, message.step] > MOST_SENDS:
                raise Broken("the same step is sent again and again", message.launch)

    def _may_stop(self, message: StopRequested) -> bool:
        """Return True if the stated reason is true. A reason that is not known here is not allowed."""
        facts = self.sessions.facts.get(message.session, NEVER_STARTED)
        session, launch = self.watched.sessions.get(message.session), self.watched.launches.get(message.session)
        now, settings = self.around.now, self.system.settings
        match message.reason.split():
            case ["nothing", "happened", *_]:
                return facts.idle_since is not None and facts.idle_since < now - settings.idle_seconds + SLACK_SECONDS
            case ["it", "was", _, "minutes", "old,", *_]:
                return session is not None and session.created_at < now - settings.max_age_seconds + SLACK_SECONDS
            case ["its", "server", "no", *_]:
                return facts.silences >= SILENCES or facts.gone_at is not None
            case ["its", "server", "ended"] | ["Killed:", *_]:
                return facts.gone_at is not None
            case ["its", "launch", *_]:
                return launch is None or launch.stage is Stage.FAILED
            case ["whoever", *_]:
                return message.session in self.stopped
            case _:
                return session is not None and session.state is SessionState.STOPPING


def _image_of(image: str, environment: str) -> bool:
    """Return True if the image is the environment's, of any attempt."""
    return image.rpartition("-")[0] == f"fake/{environment}"


def _tried_enough(before: Launch) -> bool:
    """Return True if the launch was tried often enough. Trouble that may pass ends a launch only when it did not
    pass.
    """
    stages = [DELAYS[stage] for stage in (Stage.RESOLVING, Stage.STARTING) if stage is before.stage]
    return before.retries >= RETRIES or any(before.tries >= len(delays) for delays in stages)
