"""Removal of a session's files with any modes, any links and any depth."""

import os
import stat
import uuid
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Remove a folder with its content, without following links. An absent folder is no error. Raises OSError.

    Uses descriptors, since a path may be too long for the system. Does not descend, since a tree may be deeper than the number of
    descriptors: each folder inside is first moved to the top.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    try:
        top = _opened(str(folder), None)
    except FileNotFoundError:
        return
    try:
        while moved := _emptied(top, top):
            for name in moved:
                inner = _opened(name, top)
                try:
                    _emptied(inner, top)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _emptied(folder: int, top: int) -> list[str]:
    """Remove the files in `folder` and move its folders to `top`. Return the names of those that are at the top already."""
    folders = []
    with os.scandir(folder) as entries:
        items = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in items:
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
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        if stat.S_IMODE(os.fstat(handle).st_mode) & 0o700 != 0o700:
            Path(f"/proc/self/fd/{handle}").chmod(0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)
