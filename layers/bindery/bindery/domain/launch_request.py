"""Requests for launches, and the position of a client in a launch's event stream."""

import re
from dataclasses import dataclass

from bindery.domain.launch import Event, Launch


@dataclass(frozen=True)
class Rate:
    """Values of the `x-ratelimit-*` headers. reset: UTC seconds."""

    limit: int
    remaining: int
    reset: int


@dataclass(frozen=True)
class LaunchRequest:
    """Request for a launch. spec: as in the link, still percent-encoded.

    client: the client's address. origin, site: the `Origin` and `Sec-Fetch-Site` headers, empty if absent.
    streams: whether the response streams the launch's events.
    own_origin, launch_host: this Bindery's address in the request (`http://host:port`, and the same with `/`).
    """

    provider: str
    spec: str
    client: str
    launch_host: str
    own_origin: str
    origin: str = ""
    site: str = ""
    build_token: str = ""
    last_event_id: str = ""
    build_only: bool = False
    streams: bool = False


@dataclass(frozen=True)
class OpenedLaunch:
    """Result of a launch request. rate: set if the launch was counted.

    cursor: the position that the client sent, after the events that it has received (empty: it has received no events).
    stream: the id under which the stream of its events is counted; empty if there is no stream.
    """

    launch: Launch
    cursor: str = ""
    rate: Rate | None = None
    stream: str = ""


@dataclass(frozen=True)
class StreamCursor:
    """Position of a client in the stream: number of the launch's events, and the last log line of an attempt.

    line: -1: no line was sent. None: the log was not read yet.
    """

    events: int = 0
    attempt: int = 0
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.events}.{self.attempt}.{'' if self.line is None else self.line}"

    @classmethod
    def read(cls, text: str) -> "StreamCursor":
        """Parse a cursor that `str` made. Return the start of the stream for any other text."""
        match = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})\.(-1|[0-9]{1,9})?", text)
        if match is None:
            return cls()
        return cls(int(match[1]), int(match[2]), int(match[3]) if match[3] else None)


@dataclass(frozen=True)
class StreamEvent:
    """Event for the client, and the client's position after it."""

    event: Event
    cursor: StreamCursor
