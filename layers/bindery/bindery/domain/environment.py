"""Environments: the software that a repository's configuration files define, and the key that identifies it."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from bindery.domain.failure import Failure
from bindery.domain.repository import Repository


class Scope(StrEnum):
    """Part of a repository that a build may depend on."""

    FILES = "files"
    TREE = "tree"
    COMMIT = "commit"


@dataclass(frozen=True)
class Identity:
    """Key of an environment and the inputs that it is a hash of. The operator can read the stored `inputs`."""

    key: str
    scope: Scope
    inputs: dict[str, str]

    @classmethod
    def of(cls, scope: Scope, inputs: dict[str, str]) -> "Identity":
        text = json.dumps({"scope": scope.value, "inputs": inputs}, sort_keys=True, separators=(",", ":"))
        return cls(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40], scope, inputs)

    def may_be_built_from(self, repository: Repository) -> bool:
        """Return True if the environment belongs to this commit only, or if the commit is on a branch or tag of the repository.

        A shared environment is never built from a commit of a pull request or of a fork: every user of the host can create them.
        """
        return self.scope is Scope.COMMIT or repository.on_branch_or_tag


FILE = "file "
"""Prefix of the name of each input that is a file. The file's path in the repository follows it."""


class EnvironmentState(StrEnum):
    """State of an environment's newest attempt. EVICTED: its image is deleted or being deleted; the next launch builds it again."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    EVICTED = "evicted"


OLDEST_IMAGE_DAYS = 365
"""An image of this age is built again at its next launch: the registry's own rule deletes older images, even if they are in use."""


class Environment(BaseModel):
    """Environment as it is stored.

    attempt: the newest attempt, from 1. claimed_by: the launch that claimed this attempt. claimed_at: UTC seconds.
    repository: the source of the attempt. image: set if ready. failure: set if failed.
    prebuild: whether the launch that claimed it only builds. client: the client of that launch; empty if it is exempt from shares.
    launched_day: the day when its image was last launched, in days since 1970 (UTC).
    """

    model_config = ConfigDict(frozen=True)

    key: str
    scope: Scope
    inputs: dict[str, str]
    state: EnvironmentState
    attempt: int
    claimed_by: str
    claimed_at: float
    repository: Repository
    prebuild: bool = False
    client: str = ""
    image: str = ""
    failure: Failure | None = None
    ended_at: float | None = None
    launched_day: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """Return the paths of the files that the key covers one by one, sorted. Empty if the key covers a tree or a commit."""
        return tuple(sorted(name.removeprefix(FILE) for name in self.inputs if name.startswith(FILE)))

    def is_making(self, attempt: int) -> bool:
        """Return whether this attempt is pending or running: it is the newest attempt, and has not ended."""
        return self.attempt == attempt and self.state is EnvironmentState.BUILDING
