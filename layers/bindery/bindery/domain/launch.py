"""Launches: the requests of visitors, from the click to `ready` or `failed`."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from bindery.domain.failure import Failure
from bindery.domain.messages import Message, ResolveRequested, SessionRequested
from bindery.domain.repository import Repository


class Phase(StrEnum):
    """Phases that clients see, in this order; the words are BinderHub's."""

    WAITING = "waiting"
    FETCHING = "fetching"
    BUILDING = "building"
    PUSHING = "pushing"
    BUILT = "built"
    LAUNCHING = "launching"
    READY = "ready"
    FAILED = "failed"


class Stage(StrEnum):
    """Stages of a launch. Each stage has one message, or one environment, that moves the launch to the next stage."""

    RESOLVING = "resolving"
    BUILDING = "building"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


ENDED = frozenset({Stage.READY, Stage.FAILED})


class Event(BaseModel):
    """Event for the visitor. message: ends with a newline. trouble: if set, the visitor gets its sentence instead of the message."""

    model_config = ConfigDict(frozen=True)

    phase: Phase
    message: str
    trouble: Failure | None = None


WAITING = Event(phase=Phase.WAITING, message="Waiting for build to start...\n")
BUILT = Event(phase=Phase.BUILT, message="Built image, launching...\n")
LAUNCHING = Event(phase=Phase.LAUNCHING, message="Launching server...\n")
READY = Event(phase=Phase.READY, message="")
FAILED = Event(phase=Phase.FAILED, message="")
FOUND = Event(phase=Phase.BUILT, message="Found built image, launching...\n")


class Launch(BaseModel):
    """Launch as it is stored.

    name: `<provider>/<canonical spec>`, which the operator's rules are compared with.
    step: the number that its next message must carry; each change of stage or step increments it. tries: retries within the stage.
    created_at, stage_since, deadline: UTC seconds. repo_url: the repository's address for people, and its name in quotas.
    launch_host: this Bindery's public address. owner: an anonymous visitor's random id.
    client: a keyed hash of the client's network; the launch counts in the shares of this network. Empty: a client on this machine itself.
    cross_site: True if a page of another site requested it without a token of Bindery's page. Such a launch uses public repositories only.
    environment, attempt: the environment and build attempt that it waits for or runs in. image: set as soon as it exists.
    session: set as soon as a session is reserved.
    rescues: how often a step was delivered again, by its queue or by a timer.
    begun: how often the current step was started without reporting back. begun_at: the last start, UTC seconds.
    crashed_builds: how many builds that it waited for ended because their process crashed.
    watched: whether the launcher has reported that the session starts, in this try. GONE after that means that the session died.
    events: a few per stage and retry, both bounded; log lines are stored with the build.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    provider: str
    spec: str
    name: str = ""
    repo_url: str
    owner: str
    launch_host: str
    created_at: float
    deadline: float
    build_only: bool = False
    client: str = ""
    cross_site: bool = False
    stage: Stage = Stage.RESOLVING
    stage_since: float = 0
    step: int = 0
    tries: int = 0
    retries: int = 0
    rescues: int = 0
    begun: int = 0
    begun_at: float = 0
    crashed_builds: int = 0
    trouble: Failure | None = None
    repository: Repository | None = None
    environment: str = ""
    attempt: int = 0
    image: str = ""
    session: str = ""
    watched: bool = False
    events: tuple[Event, ...] = ()
    failure: Failure | None = None
    ended_at: float | None = None

    @property
    def ended(self) -> bool:
        """Return whether the launch is ready or failed. Its stage does not change any more."""
        return self.stage in ENDED

    @property
    def at_first_attempt(self) -> bool:
        """Return whether the launch had no retries and no rescues so far, successful ones included."""
        return not self.retries and not self.rescues

    def rescued(self) -> Self:
        """Return the launch with one more rescue counted."""
        return self.model_copy(update={"rescues": self.rescues + 1})

    def begins(self, now: float) -> Self:
        """Return the launch with one more start of its current step counted. It is stored before the step runs."""
        return self.model_copy(update={"begun": self.begun + 1, "begun_at": now})

    def reported_back(self) -> Self:
        """Return the launch with one start fewer: the step did not continue, but its process is alive."""
        return self.model_copy(update={"begun": max(0, self.begun - 1)})

    def awaits(self, step: int) -> bool:
        """Return whether the launch has not ended and `step` is its current step. Every change of the launch checks this again."""
        return not self.ended and self.step == step

    def entered(self, stage: Stage, now: float, *events: Event, **changes: object) -> Self:
        """Return the launch in `stage`, at the same step, with `events` appended. A new stage resets stage_since and tries."""
        fresh = {} if stage == self.stage else {"stage_since": now, "tries": 0}
        ended = {"ended_at": now} if stage in ENDED else {}
        all_events = (*self.events, *events)
        return self.model_copy(update={"stage": stage, "events": all_events, **fresh, **ended, **changes})

    def moved(self, stage: Stage, now: float, *events: Event, **changes: object) -> Self:
        """Return the launch as `entered` does, with the next step number. A process that still runs the old step cannot change it."""
        return self.entered(stage, now, *events, **changes, step=self.step + 1, begun=0)

    @property
    def next_message(self) -> Message | None:
        """Return the message that moves the launch to its next stage; None if the stage has no message."""
        match self.stage:
            case Stage.RESOLVING:
                return ResolveRequested(launch=self.id, step=self.step)
            case Stage.STARTING:
                return SessionRequested(launch=self.id, step=self.step)
            case _:
                return None
