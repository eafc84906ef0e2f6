"""Writer of a commit's files into a new folder, and into no other place.

Every folder and file is created below an open folder descriptor, never through a path. An existing name, a link in the way, `..`,
and `.git` in any disguise end the writing. The files match those of git's checkout, including links that point outside. Line
endings and other attributes are not applied: files hold exactly the commit's content.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from dulwich.index import IndexEntry, index_entry_from_stat

from bindery.adapters.git.packs import tree_entries
from bindery.adapters.http.budget import readable_size
from bindery.adapters.http.client import DISK_ERRORS
from bindery.domain.errors import RepositoryTooLarge, RepositoryUnusable

FOLDER, FILE, LINK, SUBMODULE = 0o040000, 0o100000, 0o120000, 0o160000
DEEPEST: Final = 100
LFS: Final = b"version https://git-lfs.github.com/spec/"
LARGEST_POINTER: Final = 1024
# Characters that HFS+ ignores in names: `.g<U+200C>it` is `.git` there.
IGNORED: Final = str.maketrans(
    "", "", "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
)

Read = Callable[[bytes, bytes], bytes]
"""Function that returns the verified content of an object, by type name and id in hex."""


@dataclass
class Room:
    """Remaining room for a working copy, including its submodules."""

    url: str
    max_bytes: int
    max_files: int
    size: int = 0
    files: int = 0

    def take(self, size: int) -> None:
        """Take room for one more file or folder. Raises RepositoryTooLarge if there is none."""
        self.grow(size)
        self.files += 1
        if self.files > self.max_files:
            raise RepositoryTooLarge(url=self.url, limit=f"{self.max_files} files")

    def grow(self, size: int) -> None:
        """Take room for more bytes of an existing file. Raises RepositoryTooLarge if there is none."""
        if self.size + size > self.max_bytes:
            raise RepositoryTooLarge(url=self.url, limit=readable_size(self.max_bytes))
        self.size += size


@dataclass
class Written:
    """Result of writing a tree.

    index: entries by path. submodules: commits by path. pointers: paths of Git LFS pointers; their content is stored elsewhere.
    """

    index: dict[bytes, IndexEntry] = field(default_factory=dict)
    submodules: dict[bytes, bytes] = field(default_factory=dict)
    pointers: list[bytes] = field(default_factory=list)


def write_tree(read: Read, tree: bytes, top: int, room: Room) -> Written:
    """Write the tree into the empty folder that the descriptor `top` refers to. Raises RepositoryUnusable, RepositoryTooLarge."""
    writing = _Writing(read, room)
    writing.folder(tree, top, b"")
    return writing.written


@dataclass
class _Writing:
    read: Read
    room: Room
    written: Written = field(default_factory=Written)

    def folder(self, tree: bytes, here: int, prefix: bytes) -> None:
        if prefix.count(b"/") > DEEPEST:
            raise RepositoryUnusable(why="its folders are nested too deeply")
        for name, mode, object_id in tree_entries(self.read(b"tree", tree)):
            path = prefix + name
            _check_name(name, path)
            with _explained(path):
                if stat.S_IFMT(mode) in {FOLDER, SUBMODULE}:
                    self.room.take(0)
                    with _new_folder(name, here) as inner:
                        self._inner(mode, object_id, inner, path)
                else:
                    self._file(mode, object_id, here, path)

    def _inner(self, mode: int, found: bytes, inner: int, path: bytes) -> None:
        if stat.S_IFMT(mode) == FOLDER:
            self.folder(found, inner, path + b"/")
            return
        self.written.index[path] = index_entry_from_stat(os.fstat(inner), found, mode=SUBMODULE)
        self.written.submodules[path] = found

    def _file(self, mode: int, found: bytes, here: int, path: bytes) -> None:
        content = self.read(b"blob", found)
        self.room.take(len(content))
        status = _write_file(path.rpartition(b"/")[2], here, mode, content)
        self.written.index[path] = index_entry_from_stat(status, found)
        if stat.S_IFMT(mode) == FILE and len(content) < LARGEST_POINTER and content.startswith(LFS):
            self.written.pointers.append(path)


def _write_file(name: bytes, here: int, mode: int, content: bytes) -> os.stat_result:
    if stat.S_IFMT(mode) == LINK:
        os.symlink(content, name, dir_fd=here)
        return os.stat(name, dir_fd=here, follow_symlinks=False)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o777 if mode & 0o100 else 0o666, dir_fd=here), "wb") as file:
        file.write(content)
        file.flush()
        return os.fstat(file.fileno())


@contextmanager
def _new_folder(name: bytes, here: int) -> Iterator[int]:
    os.mkdir(name, dir_fd=here)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    try:
        yield inner
    finally:
        os.close(inner)


@contextmanager
def _explained(path: bytes) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise RepositoryUnusable(
            why=f"it holds {shown(path)} twice (or this machine cannot tell two names apart)"
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:  # not the repository's fault
            raise
        reason = error.strerror if isinstance(error, OSError) else "impossible name"
        raise RepositoryUnusable(why=f"{shown(path)} cannot be written here: {reason}") from None


def _check_name(name: bytes, path: bytes) -> None:
    if name in {b"", b".", b".."} or b"/" in name or b"\0" in name or is_git(name):
        raise RepositoryUnusable(why=f"it holds a file called {shown(path)}, which git does not allow")


def is_git(name: bytes) -> bool:
    """Return True if a file system exists on which the name means `.git`."""
    text = name.decode(errors="replace").translate(IGNORED).lower()
    return text.split(":")[0].rstrip(". ") in {".git", "git~1"}


def shown(path: bytes) -> str:
    """Return the path as text for a message, at most 200 bytes of it."""
    return path[:200].decode(errors="replace")
