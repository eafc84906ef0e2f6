"""Working copy of a session: the repository at exactly the requested ref, with the files that the build added."""

import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from bindery.domain.repository import Repository
from bindery.ports.contents import Contents
from bindery_local.sessions.environment import Environment

CONTENT_SECONDS = 120.0
FICLONE = 0x40049409  # linux/fs.h: share the blocks until one side changes, where the file system can


def checkout(
    repository: Repository, environment: Environment, contents: Contents, folder: Path, stopped: Callable[[], bool]
) -> tuple[str, ...]:
    """Make `folder` (absent before) the working copy. Return notes for the visitor.

    Raises the errors of `contents`, soon after `stopped` returns True.

    A build that may change its working copy depends on the whole tree, so its environment fits only equal trees. At another ref
    with the same tree, the files come from the repository, and the files that the build added are put on top.
    """
    if environment.content is not None and repository.ref == environment.ref:
        copy_folder(environment.content, folder)
        return ()
    notes = contents.checkout(repository, folder, seconds=CONTENT_SECONDS, stopped=stopped).notes
    if environment.content is not None:
        _add_missing(environment.content, folder)
    return notes


def copy_folder(source: Path, target: Path) -> None:
    """Copy files, folders and links unchanged. Leave out sockets, pipes and devices. `target` is absent before."""
    shutil.copytree(source, target, symlinks=True, copy_function=_copy_file, ignore=_special)


def _copy_file(source: str, target: str) -> str:
    with Path(source).open("rb") as old, Path(target).open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        except OSError:
            shutil.copyfile(source, target)
    shutil.copystat(source, target)
    return target


def _special(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not _ordinary((Path(folder) / name).lstat().st_mode)]


def _ordinary(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def _add_missing(source: Path, target: Path) -> None:
    """Add the entries that `target` lacks, except git's own folder. Never overwrite an entry or write through a link."""
    for entry in source.iterdir():
        destination = target / entry.name
        mode = entry.lstat().st_mode
        absent = not os.path.lexists(destination)
        if entry.name == ".git" or not _ordinary(mode):
            continue
        if stat.S_ISLNK(mode) and absent:
            destination.symlink_to(entry.readlink())
        elif stat.S_ISREG(mode) and absent:
            _copy_file(str(entry), str(destination))
        elif stat.S_ISDIR(mode) and absent:
            copy_folder(entry, destination)
        elif stat.S_ISDIR(mode) and destination.is_dir() and not destination.is_symlink():
            _add_missing(entry, destination)
