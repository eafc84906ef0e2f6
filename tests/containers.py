"""What tests of container builds share: the engine with a registry, and images that need no base."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bindery.adapters.builds.container import ContainerBuilds
from bindery.adapters.builds.registry import Registry
from bindery.adapters.clock import SystemClock
from bindery.domain.builds import BuildOrder, BuildReport
from bindery.domain.repository import Repository
from bindery.ports.contents import Contents, LaidOut, never
from tests.building import FolderContents, HeardQueue, written
from tests.serving.registry import LocalRegistry

FROM_NOTHING = "FROM scratch\nCOPY busybox /bin/busybox\n"


def step(script: str) -> str:
    """A RUN instruction for images that have nothing but busybox."""
    return f'RUN ["/bin/busybox", "sh", "-c", "{script}"]\n'


class HeldContents:
    """The contents port: nothing is laid out before `release`."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self.release: Callable[[], None] = self._released.set

    def lay_out(
        self, repository: Repository, folder: Path, seconds: float | None = None, stopped: Callable[[], bool] = never
    ) -> LaidOut:
        while not self._released.wait(0.02) and not stopped():
            pass
        return FolderContents().lay_out(repository, folder, seconds, stopped)


class ContainerBuilding:
    """The engine with all that it needs, in one folder; buildah as it works in a test machine's own sandbox."""

    def __init__(
        self,
        folder: Path,
        registry: LocalRegistry,
        environment: pytest.MonkeyPatch,
        *,
        contents: Contents | None = None,
        max_build_bytes: int = 10**10,
        max_bytes: int = 10**10,
    ) -> None:
        self.folder, self.home, self.queue = folder, folder / "home", HeardQueue()
        configure(folder, environment)
        self.registry = registry
        self.builds = ContainerBuilds(
            self.home,
            contents or FolderContents(),
            self.queue,
            SystemClock(),
            Registry(registry.address, registry.user, registry.password),
            tool="buildah",
            max_bytes=max_bytes,
            max_build_bytes=max_build_bytes,
        )

    def repository(self, files: Mapping[str, str | bytes], name: str = "repository") -> Path:
        folder = written(self.folder / name, files)
        shutil.copy2(shutil.which("busybox") or "", folder / "busybox")
        return folder

    def wait(self, order: BuildOrder) -> BuildReport:
        """How an attempt that was started ended."""
        self.queue.wait(lambda: (order.environment, order.attempt) in self.queue.ended)
        return self.builds.look(f"{order.environment}-{order.attempt}")

    def build(self, order: BuildOrder) -> BuildReport:
        """One attempt from beginning to end."""
        self.builds.start(order)
        return self.wait(order)

    def close(self) -> None:
        self.builds.close()
        self.builds.wait(60)
        clear(self.builds)


def clear(builds: ContainerBuilds) -> None:
    """buildah leaves its storage mounted."""
    subprocess.run(["umount", "--quiet", str(builds.tool.storage / "overlay")], check=False, capture_output=True)
    shutil.rmtree(builds.tool.run_root, ignore_errors=True)
    shutil.rmtree(builds.tool.storage, ignore_errors=True)


def configure(folder: Path, environment: pytest.MonkeyPatch, registry: str = "") -> None:
    """What a machine without namespaces and bridges of its own has to tell its tool, and that a registry has no TLS."""
    registries = folder / "registries.conf"
    registries.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n' if registry else "")
    environment.setenv("CONTAINERS_REGISTRIES_CONF", str(registries))
    file = folder / "containers.conf"
    file.write_text('[containers]\nnetns = "host"\n')
    environment.setenv("CONTAINERS_CONF", str(file))
    environment.setenv("BUILDAH_ISOLATION", "chroot")
