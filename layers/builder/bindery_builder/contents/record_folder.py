"""Writer of a record's files into a new folder, and into no other place.

Links are made last, so that no path can lead through a link while files are written. Then each link must stay inside the folder.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from bindery.adapters.git.refs import shown
from bindery.adapters.http.client import DISK_ERRORS
from bindery.domain.errors import RepositoryUnusable
from bindery_builder.contents.work_tree import DEEPEST, Room, is_git

NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class RecordFolder:
    """Folder of a record's files.

    root: absent before. Paths have `/` between folders. Raises RepositoryUnusable, RepositoryTooLarge.
    """

    def __init__(self, root: Path, room: Room) -> None:
        root.mkdir()
        self._root = root
        self._room = room
        self._links: dict[str, str] = {}

    def write(self, path: str, pieces: Iterable[bytes], *, executable: bool = False) -> None:
        """Write a new file."""
        with _explained(path):
            place = self._place(path)
            self._room.take(0)
            with os.fdopen(os.open(place, NEW, 0o777 if executable else 0o666), "wb") as file:
                for piece in pieces:
                    self._room.grow(len(piece))
                    file.write(piece)

    def add_folder(self, path: str) -> None:
        """Add a folder, which may exist already."""
        with _explained(path):
            self._make_folder(self._root.joinpath(*_steps(path)))

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link. `finish` creates it after all files."""
        place = "/".join(_steps(path))
        if not target or target.startswith("/"):
            raise _leads_out(path)
        if not place or place in self._links:
            raise RepositoryUnusable(why=f"it holds {shown(path)} twice")
        self._room.take(len(target))
        self._links[place] = target

    def add_name(self, path: str, of: str) -> None:
        """Add another name (a hard link) for a file that was written before."""
        with _explained(path):
            self._room.take(0)
            os.link(self._root.joinpath(*_steps(of)), self._place(path), follow_symlinks=False)

    def finish(self, check: Callable[[], None], *, hoist: bool) -> Path:
        """Create the links. Return the folder that holds the files.

        check: may raise to stop. hoist: return the top-level folder instead, if it is the only entry.
        """
        top = self._lone_folder() if hoist else ""
        root = self._root / top
        places = [(path, self._root.joinpath(path)) for path in self._links]
        for path, place in places:
            check()
            if any(str(above) in self._links for above in PurePosixPath(path).parents):
                raise RepositoryUnusable(why=f"{shown(path)} in it is below a link")
            with _explained(path):
                self._make_folder(place.parent)
                place.symlink_to(self._links[path])
        inside = root.resolve()
        for path, place in places:
            check()
            if not Path(os.path.realpath(place)).is_relative_to(inside):
                raise _leads_out(path)
        return root

    def _lone_folder(self) -> str:
        tops = {path.name for path in self._root.iterdir()} | {path.partition("/")[0] for path in self._links}
        lone = tops.pop() if len(tops) == 1 else ""
        return lone if (self._root / lone).is_dir() and lone not in self._links else ""

    def _place(self, path: str) -> Path:
        """Return the path below the root, and create its parent folders."""
        steps = _steps(path)
        if not steps:
            raise RepositoryUnusable(why="it holds a file without a name")
        self._make_folder(self._root.joinpath(*steps[:-1]))
        return self._root.joinpath(*steps)

    def _make_folder(self, folder: Path) -> None:
        if folder != self._root and not folder.is_dir():
            self._make_folder(folder.parent)
            self._room.take(0)
            folder.mkdir()


def _steps(path: str) -> list[str]:
    """Return the names in the path. Raises RepositoryUnusable if it would leave the folder."""
    steps = [step for step in path.split("/") if step not in {"", "."}]
    if path.startswith("/") or ".." in steps or "\0" in path:
        raise RepositoryUnusable(why=f"it holds a file called {shown(path)}, which would be outside its folder")
    if any(
        is_git(step.encode(errors="replace")) for step in steps
    ):  # a git command in that folder would obey its configuration
        raise RepositoryUnusable(why=f"it holds {shown(path)}, where git keeps its own")
    if len(steps) > DEEPEST:
        raise RepositoryUnusable(why="its folders are nested too deeply")
    return steps


def _leads_out(path: str) -> RepositoryUnusable:
    return RepositoryUnusable(why=f"its link {shown(path)} leads out of its folder")


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise RepositoryUnusable(why=f"it holds {shown(path)} twice") from None
    except OSError as error:
        if error.errno in DISK_ERRORS or error.errno is None:  # not the record's fault, or not about this file
            raise
        raise RepositoryUnusable(why=f"{shown(path)} cannot be written here: {error.strerror}") from None
