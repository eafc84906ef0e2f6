"""One attempt at an environment: the task, the work on it, and what it makes."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from bindery.domain.builds import BuildOrder
from bindery_builder.build_log import BuildLog


class Manifest(BaseModel):
    """What a finished environment holds. start: relative to the working copy. ref: what it was built from.

    image: its name, where it is kept elsewhere.
    """

    model_config = ConfigDict(frozen=True)

    ref: str
    keeps_content: bool = False
    start: str | None = None
    image: str = ""


@dataclass(frozen=True)
class Task:
    """What an engine is given for one attempt. folder: its own, absent at first. deadline: time.monotonic() seconds."""

    order: BuildOrder
    folder: Path
    deadline: float
    stopped: threading.Event
    log: BuildLog


class Work(Protocol):
    """One attempt's making. step: what is being done, for whoever has to say what went wrong.

    make: raises a BinderyError, Stopped, TimeOver or OSError; then the folder is good for nothing.
    """

    @property
    def step(self) -> str: ...
    def make(self) -> Manifest: ...
