"""Store of environments: claimed, finished or failed, evicted, recovered after a crash.

`store/<handle>/` is an environment's only place, since a venv cannot be moved. It is finished once `environments/<handle>.json`
exists, which is written atomically. `environments/<handle>.lock` is locked exclusively by the process that builds or removes the
environment, and shared by every session that runs in it. The kernel releases the locks when a process ends, also after a crash.
"""

import contextlib
import fcntl
import os
import threading
from pathlib import Path

from pydantic import ValidationError

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildCrashed
from bindery.domain.failure import Failure
from bindery.ports.clock import Clock
from bindery_builder.process.files import NEW, bytes_in, locked, write_whole, written
from bindery_builder.process.remove_tree import remove_tree
from bindery_builder.task import Manifest
from bindery_local.builds.environments import HANDLE, Hold, image_of
from bindery_local.builds.strays import kill_strays

KEPT_SECONDS = 600  # a launch that queried an environment will use it soon
ENDS_KEPT_SECONDS = 7 * 86_400


class Environments:
    """Environments under one home folder. May be used by several threads and processes at once."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.home, self._clock = home.absolute(), clock
        self._evicting = threading.Lock()
        self._marks, self._store = self.home / "environments", self.home / "store"

    def prepare(self) -> None:
        for folder in (self._marks, self._store):
            folder.mkdir(parents=True, exist_ok=True)

    def folder(self, handle: str) -> Path:
        return self._store / handle

    def claim(self, handle: str) -> Hold | None:
        """Return the right to build an environment, or None if it has ended or is being built.

        Removes the files of an earlier builder.
        """
        descriptor = locked(self._lock(handle), fcntl.LOCK_EX | fcntl.LOCK_NB, create=True)
        if descriptor is None:
            return None
        if self._ended(handle):
            os.close(descriptor)
            return None
        self._clear(handle)
        return Hold(descriptor)

    def commit(self, handle: str, manifest: Manifest) -> None:
        self.touch(handle)
        write_whole(self._manifest(handle), manifest.model_dump_json())

    def fail(self, handle: str, failure: Failure) -> None:
        self._clear(handle)
        write_whole(self._failure(handle), failure.model_dump_json())

    def abandon(self, handle: str) -> None:
        """Remove all files of the environment, so that it is unknown again. Only for the holder of its claim."""
        self._clear(handle)
        self._lock(handle).unlink(missing_ok=True)

    def report(self, handle: str) -> BuildReport:
        if not HANDLE.fullmatch(handle):
            return BuildReport(BuildState.UNKNOWN)
        if image := self._image(handle):
            return BuildReport(BuildState.SUCCEEDED, image=image)
        try:
            return BuildReport(
                BuildState.FAILED, failure=Failure.model_validate_json(self._failure(handle).read_bytes())
            )
        except (OSError, ValidationError):
            pass
        return BuildReport(BuildState.RUNNING if self._is_claimed(handle) else BuildState.UNKNOWN)

    def _image(self, handle: str) -> str:
        try:
            manifest = Manifest.model_validate_json(self._manifest(handle).read_bytes())
        except FileNotFoundError:
            return ""
        except ValidationError:  # written by another version
            return image_of(handle)
        return manifest.image or image_of(handle)

    def touch(self, handle: str) -> None:
        now = self._clock.now()
        os.utime(self._lock(handle), (now, now))

    def evict(self, most_bytes: int) -> None:
        """Remove the least recently used environments until the rest fits.

        Environments that are held or were used recently stay.
        """
        with self._evicting:
            self._evict(most_bytes)

    def _evict(self, most_bytes: int) -> None:
        sizes = {handle: self._size(handle) for handle in self._finished()}
        total = sum(sizes.values())
        for handle in sorted(sizes, key=self._last_use):
            if total <= most_bytes or self._last_use(handle) > self._clock.now() - KEPT_SECONDS:
                return
            if self._remove(handle):
                total -= sizes[handle]

    def recover(self) -> None:
        """Clean up after crashed builders.

        Ends their processes, records their unfinished environments as crashed, and removes old outcomes without a folder.
        """
        for folder in list(self._store.iterdir()):
            if not self._manifest(folder.name).exists() and (hold := self.claim(folder.name)):
                self.fail(folder.name, Failure.of(BuildCrashed()))  # a builder that ends normally leaves no folder
                hold.close()
        before = self._clock.now() - ENDS_KEPT_SECONDS
        for path in [*self._marks.glob("*.failed"), *self._marks.glob("*.json")]:
            if path.stat().st_mtime < before and not self.folder(path.stem).exists():
                path.unlink(missing_ok=True)
        self._recover_marks()

    def _recover_marks(self) -> None:
        """Remove partly written files, and locks without an environment. Those of a running builder stay."""
        for path in list(self._marks.glob(f"{NEW}*")):
            if not HANDLE.fullmatch(written(path)):  # named by another version, or unrelated
                path.unlink(missing_ok=True)
                continue
            descriptor = locked(self._lock(written(path)), fcntl.LOCK_EX | fcntl.LOCK_NB, create=True)
            if descriptor is not None:
                path.unlink(missing_ok=True)
                os.close(descriptor)
        for path in list(self._marks.glob("*.lock")):
            handle = path.name.removesuffix(".lock")
            if not HANDLE.fullmatch(handle):
                path.unlink(missing_ok=True)
            elif not self._ended(handle) and (hold := self.claim(handle)):
                self.abandon(handle)
                hold.close()

    def _remove(self, handle: str) -> bool:
        descriptor = locked(self._lock(handle), fcntl.LOCK_EX | fcntl.LOCK_NB, create=True)
        if descriptor is None:
            return False
        with Hold(descriptor):
            self._manifest(handle).unlink(missing_ok=True)
            self.abandon(handle)
        return True

    def _clear(self, handle: str) -> None:
        folder = self.folder(handle)
        if folder.exists():
            kill_strays(folder)
            remove_tree(folder)

    def _finished(self) -> list[str]:
        return [path.stem for path in self._marks.glob("*.json")]

    def _size(self, handle: str) -> int:
        """Return the environment's size in bytes.

        It is measured after the build, and again after each use, since Python writes bytecode into the environment.
        """
        measured = self.folder(handle) / "bytes"
        try:
            if measured.stat().st_mtime >= self._last_use(handle):
                return int(measured.read_text())
        except (OSError, ValueError):
            pass
        size = bytes_in(self.folder(handle))
        with contextlib.suppress(OSError):  # the size is measured again next time
            measured.write_text(str(size))
            os.utime(measured, (self._clock.now(), self._clock.now()))
        return size

    def _last_use(self, handle: str) -> float:
        try:
            return self._lock(handle).stat().st_mtime
        except OSError:
            return 0.0

    def _ended(self, handle: str) -> bool:
        return self._manifest(handle).exists() or self._failure(handle).exists()

    def _is_claimed(self, handle: str) -> bool:
        if not self._lock(handle).exists():
            return False
        descriptor = locked(self._lock(handle), fcntl.LOCK_SH | fcntl.LOCK_NB)
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def _manifest(self, handle: str) -> Path:
        return self._marks / f"{handle}.json"

    def _failure(self, handle: str) -> Path:
        return self._marks / f"{handle}.failed"

    def _lock(self, handle: str) -> Path:
        return self._marks / f"{handle}.lock"
