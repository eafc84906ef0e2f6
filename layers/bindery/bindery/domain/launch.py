"""One visitor's request, from the click to `ready` or `failed`."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from bindery.domain.failure import Failure
from bindery.domain.messages import Message, ResolveRequested, SessionRequested
from bindery.domain.repository import Repository


class Phase(StrEnum):
    """What clients see, in this order; the words are BinderHub's."""

    WAITING = "waiting"
    FETCHING = "fetching"
    BUILDING = "building"
    PUSHING = "pushing"
    BUILT = "built"
    LAUNCHING = "launching"
    READY = "ready"
    FAILED = "failed"


class Stage(StrEnum):
    """What the launch waits for: each stage has one message, or one environment, that moves it on."""

    RESOLVING = "resolving"
    BUILDING = "building"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


ENDED = frozenset({Stage.READY, Stage.FAILED})


class Event(BaseModel):
    """Something to tell the visitor. message ends with a newline; trouble: told by its sentence, instead."""

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
    """A launch as it is stored.

    name: `<provider>/<canonical spec>`, which the operator's rules are compared with.
    step: the number that its next message must carry; every move raises it. tries: retries within the stage.
    created_at, stage_since, deadline: UTC seconds. repo_url: the repository's address for people, and its name in quotas.
    launch_host: this Bindery's public address. owner: an anonymous visitor's random id.
    client: a keyed hash of the network that it was launched from, whose shares it takes; empty: on this machine itself.
    cross_site: True if a page of another site asked for it without our page's token. Such a launch gets public repositories only.
    environment, attempt: what it waits for or runs in. image: once known. session: once one is reserved.
    rescues: how often a step had to be brought again, by its queue or by a timer.
    begun: how often the present step was begun and has not reported back. begun_at: when it last was, UTC seconds.
    crashed_builds: how many builds that it waited for ended with the process that made them.
    watched: whether its session has been seen to start in this try; gone then means that it died.
    events: a few per stage and retry, both bounded; log lines are kept with the build.
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
        """Whether it is ready or failed: nothing moves it on any more."""
        return self.stage in ENDED

    @property
    def at_first_attempt(self) -> bool:
        """Whether nothing had to be tried again so far, be it with success."""
        return not self.retries and not self.rescues

    def rescued(self) -> Self:
        """The same, with one more to remember."""
        return self.model_copy(update={"rescues": self.rescues + 1})

    def begins(self, now: float) -> Self:
        """Return the launch with one more beginning of its present step, noted before the step does anything."""
        return self.model_copy(update={"begun": self.begun + 1, "begun_at": now})

    def reported_back(self) -> Self:
        """Return the launch with one beginning fewer: the step did not go on, but its process lives."""
        return self.model_copy(update={"begun": max(0, self.begun - 1)})

    def awaits(self, step: int) -> bool:
        """Whether it is under way and this step may go on; checked again wherever the launch is changed."""
        return not self.ended and self.step == step

    def entered(self, stage: Stage, now: float, *events: Event, **changes: object) -> Self:
        """The launch in `stage`, at the same step, with more to tell. A stage entered anew starts its own time and tries."""
        anew = {} if stage == self.stage else {"stage_since": now, "tries": 0}
        ended = {"ended_at": now} if stage in ENDED else {}
        told = (*self.events, *events)
        return self.model_copy(update={"stage": stage, "events": told, **anew, **ended, **changes})

    def moved(self, stage: Stage, now: float, *events: Event, **changes: object) -> Self:
        """The same, one step further: what is still under way for the old step changes nothing any more."""
        return self.entered(stage, now, *events, **changes, step=self.step + 1, begun=0)

    @property
    def next_message(self) -> Message | None:
        """What moves it on, if a message does."""
        match self.stage:
            case Stage.RESOLVING:
                return ResolveRequested(launch=self.id, step=self.step)
            case Stage.STARTING:
                return SessionRequested(launch=self.id, step=self.step)
            case _:
                return None
