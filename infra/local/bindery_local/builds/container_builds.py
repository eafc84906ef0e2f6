"""Container build engine: podman, buildah or docker on this machine makes images and pushes them to a registry."""

import os
from collections.abc import Sequence
from pathlib import Path

from bindery.adapters.builder_version import engine_name
from bindery.adapters.oci_registry import Registry
from bindery.domain.builds import BuildOrder, BuildReport
from bindery.domain.errors import BuildServiceDown
from bindery.ports.clock import Clock
from bindery.ports.contents import Contents
from bindery.ports.queue import Queue
from bindery_builder.images.build import ContainerAttempt
from bindery_builder.images.context import repo2docker_version
from bindery_builder.images.layer_cache import namespace
from bindery_builder.images.pull_logins import PullLogin
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.files import words
from bindery_builder.process.runner import Growth, Runner
from bindery_builder.task import Task
from bindery_local.builds.attempts import Attempts
from bindery_local.builds.store import Environments

GIGABYTE = 1_000_000_000
_NAMESPACE_DIGITS = 16  # part of a folder's name: podman requires short paths


class ContainerBuilds:
    """BuildService on this machine. At most `slots` attempts run at a time; the others wait.

    home: its folder `containers` holds the attempts and the tool's layers, at most `max_bytes` of layers between builds. One build
    may fill the disk by `max_build_bytes`. tool: `podman`, `buildah` or `docker`. base_image: replaces repo2docker's own. logins:
    for base images. Call `recover` once at the start and `close` at the end.
    """

    report_delay = 0.0

    def __init__(
        self,
        home: Path,
        contents: Contents,
        queue: Queue,
        clock: Clock,
        registry: Registry,
        *,
        tool: str,
        base_image: str = "",
        logins: Sequence[PullLogin] = (),
        slots: int = 2,
        max_bytes: int = 20 * GIGABYTE,
        max_build_bytes: int = 20 * GIGABYTE,
    ) -> None:
        self._store = Environments(home / "containers", clock)
        self._contents, self._registry, self._base_image = contents, registry, base_image
        self._logins = logins
        self._max_bytes, self._max_build_bytes = max_bytes, max_build_bytes
        self.tool = ContainerTool(tool, self._store.home)
        self._attempts = Attempts(self._store, queue, slots, self._begin, self._tidy)

    @property
    def name(self) -> str:
        """Return the engine's name, without the tool: the same files give the same environment with each tool.

        Raises BuildServiceDown if the tool is missing.
        """
        _ = self.tool.path
        return engine_name(repo2docker_version() or "missing", self._base_image)

    def start(self, order: BuildOrder) -> str:
        self._prepare()
        return self._attempts.start(order)

    def status(self, handle: str) -> BuildReport:
        return self._attempts.status(handle)

    def stop(self, handle: str) -> None:
        self._attempts.stop(handle)

    def image_exists(self, image: str) -> bool:
        return self._registry.image_exists(image)

    def remove(self, image: str) -> bool:
        return self._registry.remove(image)

    def recover(self) -> None:
        """Remove the unfinished builds of a crash, their processes, and the tool's data for them."""
        self._prepare()
        self._store.recover()
        self._tidy()

    def close(self) -> None:
        """End every attempt and wait for it, a few seconds at most. Ended attempts count as unknown."""
        self._attempts.close()
        self._registry.close()

    def wait(self, seconds: float) -> bool:
        """Return True if every attempt has ended within that time and disk space was freed after it."""
        return self._attempts.wait(seconds)

    def _prepare(self) -> None:
        _ = self.tool.path  # raises if it is missing
        self._attempts.prepare()
        try:
            self.tool.prepare()
        except OSError as error:
            raise BuildServiceDown(why=f"its folder cannot be made: {words(error)}") from error

    def _begin(self, task: Task) -> ContainerAttempt:
        room = Growth(self.tool.disk, self._max_build_bytes)
        environment = self.tool.environment(os.environ, Desk(task.folder))
        runner = Runner(environment, task.deadline, task.stopped, task.log, room)
        tool = self.tool.within(namespace(task.order.repository)[:_NAMESPACE_DIGITS])
        return ContainerAttempt(
            task, self._contents, tool, self._registry, runner, self._base_image, logins=self._logins
        )

    def _tidy(self) -> None:
        self.tool.tidy(self._max_bytes)
