"""A repository's configuration files, read with care: the folder that counts, no links out of it, no huge files."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from bindery.domain.build_files import FOLDERS, NAMES
from bindery.domain.errors import BuildFailed, RepositoryUnusable

MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class ConfigurationFiles:
    """Files of one working copy. `binder` or `.binder`, where there is one, is the only folder that counts."""

    content: Path
    folder: Path

    @classmethod
    def of(cls, content: Path) -> "ConfigurationFiles":
        """Raises RepositoryUnusable."""
        there = [folder.rstrip("/") for folder in FOLDERS if (content / folder).is_dir()]
        if len(there) > 1:
            raise RepositoryUnusable(why="it has both binder/ and .binder/: only one may be there")
        files = cls(content, content / there[0] if there else content)
        if there:
            files._inside(files.folder)
        return files

    @property
    def at_root(self) -> bool:
        return self.folder == self.content

    def find(self, *names: str) -> Path | None:
        """The first of these files that is there. Raises RepositoryUnusable.

        Raises LookupError for a name that environment keys do not cover: a build may not depend on it.
        """
        if uncovered := set(names) - NAMES:
            raise LookupError(f"no environment key covers {sorted(uncovered)}")
        return next((found for name in names if (found := self.checked(self.folder / name))), None)

    def checked(self, path: Path) -> Path | None:
        if path.is_symlink():
            self._inside(path)
        if not path.is_file():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise RepositoryUnusable(why=f"{self.name(path)} is over 1 MB")
        return path

    def name(self, path: Path) -> str:
        """As its author knows it, such as `binder/requirements.txt`."""
        return path.relative_to(self.content).as_posix()

    def text(self, path: Path) -> str:
        """Raises BuildFailed if it is not UTF-8."""
        raw = path.read_bytes()
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise BuildFailed(
                step=self.name(path), why=f"line {line} is not UTF-8 text: save the file as UTF-8"
            ) from None

    def _inside(self, path: Path) -> None:
        try:
            inside = path.resolve(strict=True).is_relative_to(self.content.resolve())
        except (OSError, RuntimeError):  # leads nowhere, or round in a circle
            inside = False
        if not inside:
            raise RepositoryUnusable(why=f"{self.name(path)} is a link that leads nowhere or out of the repository")


_ANY_SHEBANG = re.compile(rb"#!\s*(\S+)[ \t]*([^\r\n]*)")


def script_command(script: Path, scratch: Path) -> list[str]:
    """How to run a `postBuild` or `start` script as it stands: its mode is not changed, so the working copy stays clean.

    Without a first line `#!...` the shell runs it. One with Windows line endings is run from a copy in `scratch`.
    """
    raw = script.read_bytes()
    if raw.startswith(b"\x7fELF"):
        return [str(script)]
    found = _ANY_SHEBANG.match(raw)
    if b"\r\n" in raw:
        script = scratch / script.name
        script.write_bytes(raw.replace(b"\r\n", b"\n"))
    if found is None:
        return ["/bin/sh", str(script)]
    interpreter, argument = (part.decode(errors="surrogateescape").strip() for part in found.groups())
    # The kernel passes all that follows as one word; `env -S` splits it itself.
    return [*shlex.split(interpreter), *([argument] if argument else []), str(script)]
