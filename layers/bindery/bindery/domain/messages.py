"""Messages between functions. Each message class names its queue. A message may arrive twice, late or never."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base class of messages, which are sent as JSON. Unknown fields are ignored: an older function can read a newer message."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    queue: ClassVar[str]
    version: Literal[1] = 1


class ResolveRequested(Message):
    """Request to resolve the launch's repository. Only a message with the launch's stored step is handled."""

    queue = "resolve"
    launch: str
    step: int


class BuildRequested(Message):
    """Request to start this attempt of this environment (idempotent)."""

    queue = "builds"
    environment: str
    attempt: int


class SessionRequested(Message):
    """Request to start the launch's session, because its image exists. Only a message with the launch's stored step is handled."""

    queue = "sessions"
    launch: str
    step: int


class StopRequested(Message):
    """Request to end the session, for this reason (shown to its visitor)."""

    queue = "stops"
    session: str
    reason: str


class BuildChanged(Message):
    """Hint that an attempt's state changed. The handler asks the build service; its response decides."""

    queue = "events"
    environment: str
    attempt: int


class LogLine(BaseModel):
    """Line of a build's log. number: counted from 0 without gaps within the attempt. phase: fetching, building or pushing."""

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
