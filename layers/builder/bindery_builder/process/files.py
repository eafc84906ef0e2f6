"""Files as the store needs them: written whole, removed whatever their modes, measured, locked."""

import errno
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

NEW = ".new-"
FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_IS_FULL = "the disk is full"


def write_whole(path: Path, text: str) -> None:
    """The file holds all of `text` or is as it was, also after a crash."""
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f"{NEW}{path.stem}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except OSError:
        Path(aside).unlink(missing_ok=True)
        raise


def written(aside: Path) -> str:
    """The stem of the file that a crashed `write_whole` was to write."""
    return aside.name.removeprefix(NEW).rpartition(".")[0]


def remove(folder: Path) -> None:
    """Raises OSError if something of it cannot be removed. What builds leave may be without write permission."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except PermissionError:
        for inner, names, _ in os.walk(folder):
            Path(inner).chmod(0o700)
            for name in names:
                if not (path := Path(inner, name)).is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(folder)


def bytes_in(folder: Path) -> int:
    """At most what its removal frees: files shared with uv's cache count here too."""
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(inner, name)).st_size  # noqa: PTH118 - 15,000 files: a Path each costs
            except OSError:  # it just went, or is closed to us
                continue
    return total


def locked(path: Path, how: int, create: bool = False) -> int | None:
    """A descriptor that holds the lock; None if it is held otherwise (with LOCK_NB) or there is no such file."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, how)
            # The file may have been removed, and made anew, while we waited: then this lock is nobody's.
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def words(error: OSError) -> str:
    """The system's words, without the path."""
    return DISK_IS_FULL if is_full(error) else (error.strerror or type(error).__name__)


def is_full(error: OSError) -> bool:
    """Whether there was no room on the disk. Copying a folder tells of its files' errors in words only."""
    return error.errno in FULL or (isinstance(error, shutil.Error) and tells_full(str(error)))


def tells_full(text: str) -> bool:
    """Whether a command's words say that there was no room on the disk."""
    return any(os.strerror(number) in text for number in FULL)
