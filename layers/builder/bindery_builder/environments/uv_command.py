"""The uv command on this machine: its path, its version, and the Pythons that it finds."""

import os
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from bindery.domain.errors import BuildServiceDown
from bindery_builder.process.environment import search_path

_ASK_SECONDS = 60


class UvCommand:
    """Client for the uv command. Never downloads a Python.

    Raises BuildServiceDown if uv is missing or does not answer.
    """

    def __init__(self, path: str, folder: Path) -> None:
        self._command = path
        self._folder = folder  # uv's working folder: without settings of a repository
        self._pythons: dict[str, Path] = {}

    @cached_property
    def path(self) -> str:
        path = shutil.which(self._command or "uv", path=search_path(os.environ))
        if path is None:
            raise BuildServiceDown(why="uv is not on PATH; install it: https://docs.astral.sh/uv/")
        return path

    @cached_property
    def version(self) -> str:
        answer = self._ask("--version")
        if answer.returncode:
            raise BuildServiceDown(why="uv does not tell its version")
        return answer.stdout.split()[1]

    @cached_property
    def cache(self) -> Path:
        """Return uv's own cache, shared by all builds. uv is asked for its path, since builds have another HOME."""
        answer = self._ask("cache", "dir", *self.configuration)
        if answer.returncode:
            raise BuildServiceDown(why="uv does not tell where its cache is")
        return Path(answer.stdout.strip())

    @cached_property
    def configuration(self) -> tuple[str, ...]:
        """Return options for the machine's own uv settings, never a repository's `[tool.uv]`."""
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        for file in (os.environ.get("UV_CONFIG_FILE"), home / "uv" / "uv.toml", "/etc/uv/uv.toml"):
            if file and Path(file).is_file():
                return ("--config-file", str(Path(file).absolute()))
        return ("--no-config",)

    @property
    def default_version(self) -> str:
        return f"{sys.version_info.major}.{sys.version_info.minor}"

    def python(self, wanted: str = "") -> Path | None:
        """Return an interpreter on this machine for `3.11`, `3.11.7` or `>=3.9,<3.12`.

        Without a version, returns one of the same minor version as this process. Returns None if there is none.
        """
        if not wanted:
            own = Path(sys.base_prefix) / "bin" / f"python{self.default_version}"
            return own if own.is_file() else self.python(self.default_version)
        if wanted not in self._pythons:
            answer = self._ask(
                "python", "find", *self.configuration, "--system", "--no-project", "--no-python-downloads", wanted
            )
            if answer.returncode or not answer.stdout.strip():
                return None
            self._pythons[wanted] = Path(answer.stdout.strip())
        return self._pythons[wanted]

    def _ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PATH": search_path(os.environ), "NO_COLOR": "1"}
        environment.pop("UV_PYTHON", None)
        try:
            return subprocess.run(  # noqa: S603 - fixed words, and a version that was parsed before
                [self.path, *words],
                cwd=self._folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_ASK_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BuildServiceDown(why=f"uv cannot be run: {type(error).__name__}") from error
