"""What functions tell one another. Each message names its queue, and all of them may arrive twice, late or never."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Sent as JSON. Unknown fields are ignored, so an older function understands a newer message."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    queue: ClassVar[str]
    version: Literal[1] = 1


class ResolveRequested(Message):
    """Learn what the launch asks for. Only the launch's stored step may go on."""

    queue = "resolve"
    launch: str
    step: int


class BuildRequested(Message):
    """Start this attempt of this environment (idempotent)."""

    queue = "builds"
    environment: str
    attempt: int


class SessionRequested(Message):
    """The launch's image is there: give it a session. Only the launch's stored step may go on."""

    queue = "sessions"
    launch: str
    step: int


class StopRequested(Message):
    """End the session, for this reason (shown to its visitor)."""

    queue = "stops"
    session: str
    reason: str


class BuildChanged(Message):
    """Something happened to an attempt: look at it. Only a hint; the build service's own answer decides."""

    queue = "events"
    environment: str
    attempt: int


class LogLine(BaseModel):
    """One line of a build's log. number: dense from 0 within the attempt. phase: fetching, building or pushing."""

    model_config = ConfigDict(frozen=True)

    number: int
    phase: str
    message: str


class LogWritten(Message):
    """Lines of an attempt's log, in order."""

    queue = "logs"
    environment: str
    attempt: int
    lines: tuple[LogLine, ...]
