"""Sessions: orders, reports, activity and stored records."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from bindery.domain.environment import Scope
from bindery.domain.errors import BinderyError
from bindery.domain.repository import Repository


class SessionOrder(BaseModel):
    """Order to start a session. variables: the `BINDER_*` environment variables.

    id: the session's name everywhere (lower-case letters and digits, at most 40).
    token: gives access to its server, at least 32 characters.
    image: the image's name from the build service. scope: the part of the repository that the image's key covers. With FILES, commits
    with other files share the image, and the launcher writes the files of `repository.ref`: the session has exactly these files. With
    another scope, the image contains the files.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    token: str
    image: str
    scope: Scope
    repository: Repository
    variables: dict[str, str]


class Liveness(StrEnum):
    """State of a session at its launcher."""

    STARTING = "starting"
    READY = "ready"
    GONE = "gone"


@dataclass(frozen=True)
class SessionReport:
    """Report of the launcher on a session.

    url: the server's public address, with a trailing slash, if READY. notes: sentences for the visitor (missing LFS content).
    why: the last log lines, if GONE. trouble: the reason why it is GONE or still STARTING, if the launcher can tell.
    """

    liveness: Liveness
    url: str = ""
    notes: tuple[str, ...] = ()
    why: str = ""
    trouble: BinderyError | None = None

    def without(self, token: str) -> Self:
        """Return the report with the token masked, because a server's output may contain it."""
        return replace(self, why=self.why.replace(token, "..."), trouble=self.trouble and self.trouble.without(token))


@dataclass(frozen=True)
class SessionObject:
    """Object with Bindery's label. started: UTC seconds. alive: false for the remains of a session after the end of its server.

    why: the reason for its end, for people, if the launcher can tell.
    """

    id: str
    started: float
    alive: bool = True
    why: str = ""


@dataclass(frozen=True)
class Activity:
    """Activity that a server reports. last: its last activity, UTC seconds. busy: a kernel computes, or an open connection is in use."""

    last: float
    busy: bool


class SessionState(StrEnum):
    """State of a stored session.

    STARTING: holds a place in the quota. RUNNING: visitors are redirected only to sessions in this state. ENDED: stays as a tombstone.
    """

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class Session(BaseModel):
    """Session as it is stored. id, client: equal to those of its launch. token: gives access to its server.

    places: the quota shards that count it, each (pk, sk). created_at, last_activity: UTC seconds.
    silent: how often in a row it did not answer while most other sessions did. unheard: how often in a row it did not answer.
    reason: the reason of its end, for people. image: the image that it runs in, set as soon as it runs.
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
