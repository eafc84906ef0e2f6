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
    prebuild: whether the launch that claimed it only builds.
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
    image: str = ""
    failure: Failure | None = None
    ended_at: float | None = None
    launched_day: int = 0

    def is_making(self, attempt: int) -> bool:
        """Whether this attempt is still to be made: it is the newest, and has not ended."""
        return self.attempt == attempt and self.state is EnvironmentState.BUILDING
