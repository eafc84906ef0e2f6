"""Removal of a folder with any modes, any links and any depth, also while another process removes the same folder."""

import errno
import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path

_PATH_ONLY: int | None = getattr(os, "O_PATH", None)
"""Flag that opens a folder without permission to read it. None: the system is not Linux."""


def remove_tree(folder: Path) -> None:
    """Remove a folder with its content, without following links. An absent folder is no error. Raises OSError.

    Builds and sessions may leave folders without any permission; each is first made readable and writable.
    Uses descriptors, since a path may be too long for the system. Does not descend, since a tree may be deeper than the number of
    descriptors: each folder inside is first moved to the top.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    with suppress(FileNotFoundError):  # absent, or removed by another process at the same time
        top = _opened(str(folder), None)
        try:
            while moved := _emptied(top, top):
                for name in moved:
                    _remove_moved(name, top)
        finally:
            os.close(top)
        folder.rmdir()


def _remove_moved(name: str, top: int) -> None:
    """Remove the folder `name`, which is at the top, and move the folders in it to the top."""
    with suppress(FileNotFoundError):
        inner = _opened(name, top)
        try:
            _emptied(inner, top)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)


def _emptied(folder: int, top: int) -> list[str]:
    """Remove the files in `folder` and move its folders to `top`. Return the names of those that are at the top already."""
    folders = []
    with os.scandir(folder) as entries:
        items = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in items:
        with suppress(FileNotFoundError):
            if not is_folder:
                os.unlink(name, dir_fd=folder)
            elif folder == top:
                folders.append(name)
            else:
                os.close(_opened(name, folder))  # a folder without write permission cannot be moved
                os.rename(name, uuid.uuid4().hex, src_dir_fd=folder, dst_dir_fd=top)
    return folders


def _opened(name: str, parent: int | None) -> int:
    """Return a folder's descriptor. First make it readable and writable, through a descriptor that needs no permission."""
    if _PATH_ONLY is None:
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    handle = os.open(name, _PATH_ONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        if stat.S_IMODE(os.fstat(handle).st_mode) & 0o700 != 0o700:
            _make_accessible(handle)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _make_accessible(handle: int) -> None:
    try:
        Path(f"/proc/self/fd/{handle}").chmod(0o700)
    except FileNotFoundError:  # not the folder's absence, which is no error
        raise PermissionError(errno.EACCES, "its permissions cannot be changed without /proc") from None
