"""Attempt in CodeBuild: recorded in the table, made by the container engine's steps, its outcome written for the buildspec."""

import math
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bindery.adapters.oci_registry import Registry
from bindery.domain.builds import BuildOrder
from bindery.domain.errors import BinderyError, BuildFailed, BuildServiceDown, BuildTooLong
from bindery.domain.failure import Failure
from bindery.ports.contents import Contents
from bindery.ports.queue import Sender
from bindery.state.environments import Environments
from bindery_builder.build_log import BuildLog
from bindery_builder.images.build import ContainerAttempt
from bindery_builder.images.layer_cache import cache_tag
from bindery_builder.images.pull_logins import PullLogin
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.files import is_full, words
from bindery_builder.process.runner import Growth, Runner, TimeOver
from bindery_builder.task import Task

SEND_SECONDS = 1.0
IMAGE, FAILURE, WINNER = "image", "failure", "winner"


@dataclass(frozen=True)
class Attempt:
    """Attempt of one CodeBuild build.

    handle: its id. folder: holds all files that the attempt writes, including those with the outcome. most_bytes: the limit on how
    much the disk may fill up.
    """

    order: BuildOrder
    handle: str
    folder: Path
    environments: Environments
    contents: Contents
    queue: Sender
    tool: ContainerTool
    registry: Registry
    base_image: str
    logins: Sequence[PullLogin]
    most_bytes: int

    def run(self) -> int:
        """Make the attempt and write its outcome into a file in `folder`. Return exit status 0 in every case.

        CodeBuild exports variables only for builds that succeed, so a failed attempt is a build that succeeds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if (winner := self._claim()) != self.handle:
            self._leave(WINNER, winner)
            print(f"Another build makes this attempt: {winner}" if winner else "It was given up", flush=True)
            return 0
        outcome = self._outcome()
        if isinstance(outcome, Failure):
            self._leave(FAILURE, outcome.model_dump_json())
        else:
            self._leave(IMAGE, outcome)
        return 0

    def _claim(self) -> str:
        """Record this build's handle for the attempt. Return the recorded handle.

        It is this build's handle unless another build was first, and empty if the attempt was abandoned before. No step has touched
        the repository at this point.
        """
        self.environments.record_start(self.order.environment, self.order.attempt, self.handle)
        return self.environments.handle(self.order.environment, self.order.attempt) or ""

    def _outcome(self) -> str | Failure:
        """Make the image. Return its name, or the failure."""
        folder = self.folder / "work" / f"{self.order.environment}-{self.order.attempt}"
        log = BuildLog(self.queue, self.order.environment, self.order.attempt, hidden=str(folder), every=SEND_SECONDS)
        work: ContainerAttempt | None = None
        try:
            work = self._work(folder, log)
            return work.make().image
        except TimeOver:
            return Failure.of(BuildTooLong(minutes=math.ceil(self.order.seconds / 60)))
        except BinderyError as error:
            return Failure.of(error)
        except OSError as error:
            step = work.step if work else "build"
            trouble = BuildServiceDown(why=words(error)) if is_full(error) else BuildFailed(step=step, why=words(error))
            return Failure.of(trouble)
        finally:
            log.close()

    def _work(self, folder: Path, log: BuildLog) -> ContainerAttempt:
        self.tool.prepare()
        deadline, never = time.monotonic() + self.order.seconds, threading.Event()
        environment = self.tool.environment(os.environ, Desk(folder))
        runner = Runner(environment, deadline, never, log, Growth(self.tool.disk, self.most_bytes))
        task = Task(self.order, folder, deadline, never, log)
        tag = cache_tag(self.order.repository)
        tool = self.tool.within("build")  # the machine makes one image, so one storage is enough
        made_of = (self.contents, tool, self.registry, runner, self.base_image, tag, self.logins)
        return ContainerAttempt(task, *made_of)

    def _leave(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
