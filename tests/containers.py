"""Helpers that tests of container builds share: the engine with a registry, and images that need no base."""

import io
import os
import shutil
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.oci_registry import Registry
from bindery.domain.builds import BuildOrder, BuildReport
from bindery.domain.repository import Repository
from bindery.ports.contents import Checkout, Contents, never_stopped
from bindery_local.builds.container_builds import ContainerBuilds
from tests.building import WAIT_SECONDS, FolderContents, RecordingQueue, written
from tests.serving.registry import LocalRegistry
from tests.serving.started import started_with
from tests.serving.tool_storage import clear

TOOL = os.environ.get("CONTAINER_TOOL", "buildah")  # the suites pass with podman as well: CONTAINER_TOOL=podman
FROM_NOTHING = "FROM scratch\nCOPY busybox /bin/busybox\n"
RELAYED = "/bin/busybox sleep 2"
"""The end of a step with output that a test reads.

buildah's chroot isolation loses the output that it has not relayed when the step ends.
"""


def step(script: str) -> str:
    """Return a RUN instruction for images that contain busybox alone."""
    return f'RUN ["/bin/busybox", "sh", "-c", "{script}"]\n'


class HeldContents:
    """The contents port, which lays out no files before `release`."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self.release: Callable[[], None] = self._released.set

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = never_stopped,
        *,
        exact: bool = False,
    ) -> Checkout:
        while not self._released.wait(0.02) and not stopped():
            pass
        return FolderContents().checkout(repository, folder, seconds, stopped, exact=exact)


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
        self.folder, self.home, self.queue = folder, folder / "home", RecordingQueue()
        configure(folder, environment)
        self.registry = registry
        self.builds = ContainerBuilds(
            self.home,
            contents or FolderContents(),
            self.queue,
            SystemClock(),
            Registry(registry.address, registry.user, registry.password),
            tool=TOOL,
            max_bytes=max_bytes,
            max_build_bytes=max_build_bytes,
        )

    def repository(self, files: Mapping[str, str | bytes], name: str = "repository") -> Path:
        folder = written(self.folder / name, files)
        shutil.copy2(shutil.which("busybox") or "", folder / "busybox")
        return folder

    def wait(self, order: BuildOrder) -> BuildReport:
        """Return the result of an attempt that was started."""
        self.queue.wait(lambda: (order.environment, order.attempt) in self.queue.ended)
        return self.builds.status(f"{order.environment}-{order.attempt}")

    def build(self, order: BuildOrder) -> BuildReport:
        """Run an attempt from beginning to end."""
        self.builds.start(order)
        return self.wait(order)

    def close(self) -> None:
        self.builds.close()
        self.builds.wait(60)
        clear(self.builds.tool)


def image_files(building: ContainerBuilding, report: BuildReport) -> Mapping[str, bytes]:
    """Return the files of an image as the registry has it: path without a leading slash to content."""
    repository = "bindery/sessions"
    digest = report.image.partition("@")[2]
    manifest = building.registry.ask("GET", f"{repository}/manifests/{digest}").json()
    files: dict[str, bytes] = {}
    for layer in manifest["layers"]:
        blob = building.registry.ask("GET", f"{repository}/blobs/{layer['digest']}").content
        with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
            for member in archive:
                if content := archive.extractfile(member):
                    files[member.name] = content.read()
    return files


def configure(folder: Path, environment: pytest.MonkeyPatch, registry: str = "") -> None:
    """Write the tool's configuration for a machine without namespaces and bridges of its own, and for a registry without TLS."""
    registries = folder / "registries.conf"
    registries.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n' if registry else "")
    environment.setenv("CONTAINERS_REGISTRIES_CONF", str(registries))
    file = folder / "containers.conf"
    file.write_text('[containers]\nnetns = "host"\n')
    environment.setenv("CONTAINERS_CONF", str(file))
    environment.setenv("BUILDAH_ISOLATION", "chroot")


class Held:
    """A RUN instruction that waits until a test lets it continue."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_SECONDS)
        port = self._listener.getsockname()[1]
        self.command = f"nc 127.0.0.1 {port}"
        self.step = step(f"echo holding; /bin/busybox {self.command}; echo let go")

    def wait(self) -> socket.socket:
        """Wait until the step runs. It continues when the connection is closed."""
        connection, _ = self._listener.accept()
        return connection

    def close(self) -> None:
        self._listener.close()


@contextmanager
def held() -> Iterator[Held]:
    holding = Held()
    try:
        yield holding
    finally:
        holding.close()


def processes_of(building: ContainerBuilding, holding: Held) -> list[str]:
    """Return command lines of the processes that still run for the engine: the tool's, and the held step's.

    The held step is found by its own command, because it knows no mark of the engine.
    """
    steps = [line for line in started_with("").values() if holding.command in line]
    return [*started_with(str(building.home)).values(), *steps]
