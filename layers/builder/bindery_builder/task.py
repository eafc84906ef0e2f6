"""Attempt to build an environment: its task, its work and its manifest."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from bindery.domain.builds import BuildOrder
from bindery_builder.build_log import BuildLog
from bindery_builder.environments.conda_request import CondaPackage


class Manifest(BaseModel):
    """Result of a successful build.

    start: the `start` script, relative to the working copy. ref: the commit that it was built from. image: the image's name, if the
    environment is an image in a registry. variables: environment variables that its packages set for each session. conda_packages: the
    packages that were installed from conda channels.
    """

    model_config = ConfigDict(frozen=True)

    ref: str
    keeps_content: bool = False
    start: str | None = None
    image: str = ""
    variables: dict[str, str] = Field(default_factory=dict)
    conda_packages: tuple[CondaPackage, ...] = ()


@dataclass(frozen=True)
class Task:
    """Input of an engine for one attempt.

    folder: the attempt's own folder, absent at first. deadline: in seconds of time.monotonic().
    """

    order: BuildOrder
    folder: Path
    deadline: float
    stopped: threading.Event
    log: BuildLog


class Work(Protocol):
    """Work of one attempt.

    step: the current step, for error messages. make: raises a BinderyError, Stopped, TimeOver or OSError. After an error the folder
    is unusable.
    """

    @property
    def step(self) -> str: ...
    def make(self) -> Manifest: ...
