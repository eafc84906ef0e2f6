"""Configuration files of a repository: the folder that counts, without links out of it and without huge files."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from bindery.domain.build_files import FOLDERS, NAMES
from bindery.domain.errors import BuildFailed, RepositoryUnusable

MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class ConfigurationFiles:
    """Configuration files of one working copy. If `binder` or `.binder` exists, only that folder counts."""

    content: Path
    folder: Path

    @classmethod
    def of(cls, content: Path) -> "ConfigurationFiles":
        """Return the configuration files of the working copy `content`. Raises RepositoryUnusable."""
        present = [folder.rstrip("/") for folder in FOLDERS if (content / folder).is_dir()]
        if len(present) > 1:
            raise RepositoryUnusable(why="it has both binder/ and .binder/: only one may be there")
        files = cls(content, content / present[0] if present else content)
        if present:
            files._inside(files.folder)
        return files

    @property
    def at_root(self) -> bool:
        return self.folder == self.content

    def find(self, *names: str) -> Path | None:
        """Return the first of these files that exists. Raises RepositoryUnusable.

        Raises LookupError for a name that environment keys do not cover: a build must not depend on it.
        """
        if uncovered := set(names) - NAMES:
            raise LookupError(f"no environment key covers {sorted(uncovered)}")
        return next((path for name in names if (path := self.checked(self.folder / name))), None)

    def checked(self, path: Path) -> Path | None:
        if path.is_symlink():
            self._inside(path)
        if not path.is_file():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise RepositoryUnusable(why=f"{self.name(path)} is over 1 MB")
        return path

    def name(self, path: Path) -> str:
        """Return the path relative to the repository, such as `binder/requirements.txt`."""
        return path.relative_to(self.content).as_posix()

    def text(self, path: Path) -> str:
        """Return the file's text. Raises BuildFailed if it is not UTF-8."""
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
        except (OSError, RuntimeError):  # a dangling link, or a loop of links
            inside = False
        if not inside:
            raise RepositoryUnusable(why=f"{self.name(path)} is a link that leads nowhere or out of the repository")


_ANY_SHEBANG = re.compile(rb"#!\s*(\S+)[ \t]*([^\r\n]*)")


def script_command(script: Path, scratch: Path) -> list[str]:
    """Return the command for a `postBuild` or `start` script. Its mode is not changed, so the working copy stays clean.

    A script without a `#!` line is run by the shell. A script with Windows line endings is run from a copy in `scratch`.
    """
    raw = script.read_bytes()
    if raw.startswith(b"\x7fELF"):
        return [str(script)]
    shebang = _ANY_SHEBANG.match(raw)
    if b"\r\n" in raw:
        script = scratch / script.name
        script.write_bytes(raw.replace(b"\r\n", b"\n"))
    if shebang is None:
        return ["/bin/sh", str(script)]
    interpreter, argument = (part.decode(errors="surrogateescape").strip() for part in shebang.groups())
    # The kernel passes the rest of the line as one argument; `env -S` splits it itself.
    return [*shlex.split(interpreter), *([argument] if argument else []), str(script)]
