"""Sessions: what is started, what became of it, what it said when asked."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from bindery.domain.environment import Scope
from bindery.domain.errors import BinderyError
from bindery.domain.repository import Repository


class SessionOrder(BaseModel):
    """What a launcher needs to start a session. environment variables are the `BINDER_*` ones.

    id: names the session everywhere (lower-case letters and digits, at most 40). token: opens its server, at least 32 characters.
    image: as the build service named it. scope: what its key covers. With FILES, commits with other files share the image, and
    the launcher lays out those of `repository.ref`: the session's files are exactly these. With another scope the image has them.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    token: str
    image: str
    scope: Scope
    repository: Repository
    variables: dict[str, str]


class Liveness(StrEnum):
    """How far a session has come."""

    STARTING = "starting"
    READY = "ready"
    GONE = "gone"


@dataclass(frozen=True)
class SessionReport:
    """url: the server's public address, with a trailing slash, when READY. notes: sentences for the visitor (missing LFS content).
    why: last log lines, when GONE. trouble: why it is GONE, or what keeps it STARTING, where the launcher knows."""

    liveness: Liveness
    url: str = ""
    notes: tuple[str, ...] = ()
    why: str = ""
    trouble: BinderyError | None = None

    def without(self, token: str) -> Self:
        """The same, should what a server said hold its token."""
        return replace(self, why=self.why.replace(token, "..."), trouble=self.trouble and self.trouble.without(token))


@dataclass(frozen=True)
class SessionObject:
    """Something that bears our mark. started: UTC seconds. alive: false for what a session left whose server has ended.

    why: the reason for its end, for people, where the launcher knows it.
    """

    id: str
    started: float
    alive: bool = True
    why: str = ""


@dataclass(frozen=True)
class Activity:
    """A server's own word. last: UTC seconds of its last activity. busy: a kernel computes, or an open connection is in use."""

    last: float
    busy: bool


class SessionState(StrEnum):
    """STARTING holds a place in the quota; only RUNNING is handed out; ENDED stays as a tombstone."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class Session(BaseModel):
    """A session as it is stored. id, client: the same as its launch's. token: opens its server.

    places: the quota shards it counts in, each (pk, sk). created_at, last_activity: UTC seconds.
    silent: how often in a row it did not answer while most others did. unheard: the same, whatever others did.
    reason: why it ended, for people. image: what it runs in, once it runs.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    owner: str
    token: str
    repo_url: str
    client: str = ""
    state: SessionState
    created_at: float
    places: tuple[tuple[str, str], ...] = ()
    url: str = ""
    notes: tuple[str, ...] = ()
    last_activity: float = 0
    silent: int = 0
    unheard: int = 0
    reason: str = ""
    image: str = ""
