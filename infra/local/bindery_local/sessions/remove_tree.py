"""Removes what a session leaves, whatever a visitor made of it: unreadable modes, links, any depth."""

import os
import stat
import uuid
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Removes a folder with everything in it; never follows a link. One that is absent is no error. Raises OSError.

    Works by descriptors, since a path may be too long for the system, and without descending, since a tree may be deeper
    than there are descriptors: each folder inside is first moved to the top.
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
    """Removes the files in `folder` and moves its folders to `top`; answers the names of those that are at the top already."""
    there = []
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
        elif folder == top:
            there.append(name)
        else:
            os.close(_opened(name, folder))  # one that may not be written cannot be moved
            os.rename(name, uuid.uuid4().hex, src_dir_fd=folder, dst_dir_fd=top)
    return there


def _opened(name: str, parent: int | None) -> int:
    """A folder's descriptor. Makes it ours to read and write first, through one that needs no such right."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        if stat.S_IMODE(os.fstat(handle).st_mode) & 0o700 != 0o700:
            Path(f"/proc/self/fd/{handle}").chmod(0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)
