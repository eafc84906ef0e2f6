"""Local build engine: uv makes a repository's environment on this machine, without containers."""

import os
import platform
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from bindery.domain.builds import BuildOrder, BuildReport
from bindery.ports.clock import Clock
from bindery.ports.contents import Contents
from bindery.ports.queue import Queue
from bindery_builder.environments.conda import CondaSource
from bindery_builder.environments.uv_command import UvCommand
from bindery_builder.process.environment import build_environment
from bindery_builder.process.runner import Room, Runner
from bindery_builder.task import Task
from bindery_local.builds.attempts import Attempts
from bindery_local.builds.environments import environment_of
from bindery_local.builds.store import Environments
from bindery_local.builds.uv.build import UvAttempt

RECIPE = 3  # increased when the same files would give another environment
GIGABYTE = 1_000_000_000


class UvBuilds:
    """BuildService on this machine. At most `slots` attempts run at a time; the others wait.

    home: where environments are kept, at most `max_bytes` plus those in use. One build may use `max_build_bytes`. contents: lays
    out repositories. uv: the command; empty: found on PATH. conda_channels: the address of conda channels that have a
    name. Call `recover` once at the start and `close` at the end.
    """

    report_delay = 0.0

    def __init__(
        self,
        home: Path,
        contents: Contents,
        queue: Queue,
        clock: Clock,
        *,
        slots: int = 2,
        max_bytes: int = 20 * GIGABYTE,
        max_build_bytes: int = 10 * GIGABYTE,
        uv: str = "",
        conda_channels: str,
    ) -> None:
        self._environments = Environments(home, clock)
        self._contents, self._max_build_bytes = contents, max_build_bytes
        self._max_bytes = max_bytes
        self._conda = CondaSource(self._environments.home / "conda", conda_channels)
        self._uv = UvCommand(uv, self._environments.home)
        self._attempts = Attempts(self._environments, queue, slots, self._begin, self._evict)

    @property
    def name(self) -> str:
        self._attempts.prepare()
        return f"uv {self._uv.version}, Python {self._uv.default_version}, {self._conda_versions}, recipe {RECIPE}"

    @cached_property
    def _conda_versions(self) -> str:
        return f"py-rattler {version('py-rattler')}, glibc {platform.libc_ver()[1]}"

    def start(self, order: BuildOrder) -> str:
        self._attempts.prepare()
        _ = self._uv.path  # raises if uv is missing
        return self._attempts.start(order)

    def status(self, handle: str) -> BuildReport:
        return self._attempts.status(handle)

    def stop(self, handle: str) -> None:
        self._attempts.stop(handle)

    def image_exists(self, image: str) -> bool:
        if environment_of(self._environments.home, image) is None:
            return False
        try:
            self._environments.touch(image.partition("/")[2])
        except FileNotFoundError:  # evicted after the check above
            return False
        return True

    def remove(self, image: str) -> bool:  # noqa: ARG002 - required by the port
        """Return False: environments are removed only when the disk limit is reached, the least recently used first."""
        return False

    def recover(self) -> None:
        """Return finished environments to use. Remove the unfinished builds of a crash, and their processes."""
        self._attempts.prepare()
        self._environments.recover()
        self._evict()

    def close(self) -> None:
        """End every attempt and wait for it, a few seconds at most. Ended attempts count as unknown."""
        self._attempts.close()

    def wait(self, seconds: float) -> bool:
        """Return True if every attempt has ended within that time and disk space was freed after it."""
        return self._attempts.wait(seconds)

    def _evict(self) -> None:
        self._environments.evict(self._max_bytes)

    def _begin(self, task: Task) -> UvAttempt:
        environment = build_environment(os.environ, task.folder, self._uv.cache)
        room = Room(task.folder, self._max_build_bytes)
        runner = Runner(environment, task.deadline, task.stopped, task.log, room)
        return UvAttempt(task.order, task.folder, self._contents, self._uv, runner, task.log, self._conda)
