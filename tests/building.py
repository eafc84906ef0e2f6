"""Helpers that tests of real builds share: repositories in local folders, and a queue that a test can wait on."""

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bindery.adapters.clock import SystemClock
from bindery.domain.builds import BuildOrder, BuildReport
from bindery.domain.environment import Scope
from bindery.domain.messages import BuildChanged, LogLine, LogWritten, Message
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.contents import Checkout, Contents
from bindery_local.builds.uv.builds import UvBuilds
from tests.serving.conda_channel import NO_CHANNELS
from tests.serving.uv import UV

REF = "0123456789abcdef0123456789abcdef01234567"
WAIT_SECONDS = 120


class FolderContents:
    """The contents port, for repositories with a local folder as their clone address."""

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        *,
        exact: bool = False,
    ) -> Checkout:
        shutil.copytree(repository.clone_url, folder, symlinks=True)
        return Checkout()


class RecordingQueue:
    """The queue port. messages: all that were sent, in order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = threading.Condition()

    def send(self, message: Message, delay: float = 0) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None:
        for message in messages:
            self.send(message, delay)

    def wait(self, until: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(until, WAIT_SECONDS), f"never sent; lines: {self.lines[-20:]}"

    @property
    def lines(self) -> list[LogLine]:
        return [line for message in list(self.messages) if isinstance(message, LogWritten) for line in message.lines]

    @property
    def text(self) -> str:
        return "".join(line.message for line in self.lines)

    @property
    def ended(self) -> list[tuple[str, int]]:
        return [
            (message.environment, message.attempt)
            for message in list(self.messages)
            if isinstance(message, BuildChanged)
        ]


def written(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Return a repository that holds these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    folder.mkdir(exist_ok=True)
    return folder


def ordered(
    folder: Path, environment: str = "env", attempt: int = 1, *, scope: str = "", seconds: int = 300
) -> BuildOrder:
    """Return an order for the repository in `folder`.

    scope: without one, `commit` if the repository has a Dockerfile, else `files`: all of them.
    """
    paths = [Path(inner, name) for inner, _, names in os.walk(folder) for name in names]
    scope = scope or (Scope.COMMIT if "Dockerfile" in {path.name for path in paths} else Scope.FILES)
    regular = [path.relative_to(folder).as_posix() for path in paths if path.is_file() and not path.is_symlink()]
    files = tuple(sorted(regular)) if scope == Scope.FILES else ()
    repository = Repository(
        provider="git",
        spec="s",
        ref=REF,
        resolved_spec="s",
        clone_url=str(folder),
        repo_url="https://example.org/r",
        ref_url="https://example.org/r",
        on_branch_or_tag=True,
    )
    return BuildOrder(
        environment=environment, attempt=attempt, repository=repository, scope=scope, files=files, seconds=seconds
    )


def uv_that_installs_nothing(folder: Path) -> str:
    """Write a uv that skips installing and is otherwise the real one, for tests of the steps before and after it."""
    script = folder / "quick-uv"
    script.write_text(f'#!/bin/sh\n[ "$1" = pip ] && exit 0\nexec "{UV}" "$@"\n')
    script.chmod(0o755)
    return str(script)


class Building:
    """A build engine and the parts that it needs, in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        slots: int = 2,
        max_bytes: int = 10**11,
        max_build_bytes: int = 10**10,
        clock: Clock | None = None,
        contents: Contents | None = None,
        uv: str = UV,
        conda_channels: str = NO_CHANNELS,
    ) -> None:
        self.folder, self.home, self.queue = folder, folder / "home", RecordingQueue()
        clock = clock or SystemClock()
        self.builds = UvBuilds(
            self.home,
            contents or FolderContents(),
            self.queue,
            clock,
            slots=slots,
            max_bytes=max_bytes,
            max_build_bytes=max_build_bytes,
            uv=uv,
            conda_channels=conda_channels,
        )

    def close(self) -> None:
        """Delete the environments now: they are large, and pytest would delete them later."""
        self.builds.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def repository(self, files: Mapping[str, str | bytes], name: str = "repository") -> Path:
        return written(self.folder / name, files)

    def wait(self, order: BuildOrder) -> BuildReport:
        """Return the result of an attempt that was started."""
        self.queue.wait(lambda: (order.environment, order.attempt) in self.queue.ended)
        return self.builds.status(f"{order.environment}-{order.attempt}")

    def build(self, files: Mapping[str, str | bytes], *, scope: str = "files", seconds: int = 300) -> BuildReport:
        """Run an attempt from beginning to end, at a repository that holds these files."""
        order = ordered(self.repository(files), scope=scope, seconds=seconds)
        self.builds.start(order)
        return self.wait(order)
