"""File operations for the store: atomic writes, sizes and locks."""

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
    """Write `text` to the file atomically: after a crash the file has either its old or its new content."""
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
    """Return the stem of the target file of a `write_whole` that crashed."""
    return aside.name.removeprefix(NEW).rpartition(".")[0]


def bytes_in(folder: Path) -> int:
    """Return the folder's size in bytes. Files shared with uv's cache count, so removing the folder may free less."""
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(inner, name)).st_size  # noqa: PTH118 - 15,000 Paths are slow
            except OSError:  # it was just removed, or is not readable
                continue
    return total


def locked(path: Path, how: int, create: bool = False) -> int | None:
    """Lock the file and return its descriptor.

    Returns None if the file does not exist, or if the lock is taken (with LOCK_NB).
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, how)
            # The file may have been removed and created again during the wait: then this lock is on the old file.
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def words(error: OSError) -> str:
    """Return the system's error message without the path."""
    return DISK_IS_FULL if is_full(error) else (error.strerror or type(error).__name__)


def is_full(error: OSError) -> bool:
    """Return True if the error means a full disk. shutil.Error reports its files' errors as text only."""
    return error.errno in FULL or (isinstance(error, shutil.Error) and tells_full(str(error)))


def tells_full(text: str) -> bool:
    """Return True if a command's output reports a full disk."""
    return any(os.strerror(number) in text for number in FULL)
