"""A request for a launch, and how far its story has been told to somebody."""

import re
from dataclasses import dataclass

from bindery.domain.launch import Event, Launch


@dataclass(frozen=True)
class Rate:
    """What the `x-ratelimit-*` headers say. reset: UTC seconds."""

    limit: int
    remaining: int
    reset: int


@dataclass(frozen=True)
class LaunchRequest:
    """A request for a launch. spec: as it stood in the link, percent-encoding kept.

    client: its address. origin, site: the `Origin` and `Sec-Fetch-Site` headers, empty if absent.
    streams: whether the launch's events will be streamed as the answer.
    own_origin, launch_host: how this Bindery was addressed (`http://host:port`, and the same with `/`).
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
    """told: how much of the launch's story the client says it has (empty: nothing). rate: when the launch was counted.

    stream: the id under which the stream of its events is counted; empty if there is none.
    """

    launch: Launch
    told: str = ""
    rate: Rate | None = None
    stream: str = ""


@dataclass(frozen=True)
class StreamCursor:
    """How far a client has heard: events of the launch, and the last log line of an attempt (-1: none, None: not asked yet)."""

    events: int = 0
    attempt: int = 0
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.events}.{self.attempt}.{'' if self.line is None else self.line}"

    @classmethod
    def read(cls, told: str) -> "StreamCursor":
        """From what `str` made; anything else means nothing told."""
        match = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})\.(-1|[0-9]{1,9})?", told)
        if match is None:
            return cls()
        return cls(int(match[1]), int(match[2]), int(match[3]) if match[3] else None)


@dataclass(frozen=True)
class StreamEvent:
    """One event for the client, and how much is told with it."""

    event: Event
    told: StreamCursor
