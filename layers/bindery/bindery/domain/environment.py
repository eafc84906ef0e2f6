"""Environments: what a repository's configuration files define, and the key that names them."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from bindery.domain.failure import Failure
from bindery.domain.repository import Repository


class Scope(StrEnum):
    """How much of a repository a build may depend on."""

    FILES = "files"
    TREE = "tree"
    COMMIT = "commit"


@dataclass(frozen=True)
class Identity:
    """An environment's key and what it was made from: `inputs` is what the key hashes, kept for the operator to read."""

    key: str
    scope: Scope
    inputs: dict[str, str]

    @classmethod
    def of(cls, scope: Scope, inputs: dict[str, str]) -> "Identity":
        told = json.dumps({"scope": scope.value, "inputs": inputs}, sort_keys=True, separators=(",", ":"))
        return cls(hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:40], scope, inputs)

    def may_be_built_from(self, repository: Repository) -> bool:
        """Return True if the environment is this commit's alone, or if the commit is the repository's own.

        An environment that commits share is never built from a commit of a pull request or of a fork: strangers make those.
        """
        return self.scope is Scope.COMMIT or repository.on_branch_or_tag


FILE = "file "
"""Begins the name of each input that is a file: the rest is its path in the repository."""


class EnvironmentState(StrEnum):
    """Of the newest attempt. EVICTED: its image is being deleted, or is; the next launch has it built again."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    EVICTED = "evicted"


OLDEST_IMAGE_DAYS = 365
"""An image this old is built again when it is launched: the registry's own rule deletes older images, launched or not."""


class Environment(BaseModel):
    """An environment as it is stored. attempt: the newest, from 1. claimed_by: the launch that won the right to build it.

    repository: what the attempt builds from. image, when ready; failure, when failed. claimed_at: UTC seconds.
    prebuild: whether the launch that claimed it only builds. client: of that launch; empty if it is exempt from shares.
    launched_day: when its image was last launched, in days since 1970 (UTC).
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
        """Return the paths of the files that the key covers one by one, in order. Empty where it covers a tree or a commit."""
        return tuple(sorted(name.removeprefix(FILE) for name in self.inputs if name.startswith(FILE)))

    def is_making(self, attempt: int) -> bool:
        """Whether this attempt is still to be made: it is the newest, and has not ended."""
        return self.attempt == attempt and self.state is EnvironmentState.BUILDING
