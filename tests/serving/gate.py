"""Builds and kernels that run until a test releases them, so that no test waits for time to pass."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Gate:
    """A gate that is closed until `open`."""

    file: Path

    def open(self) -> None:
        self.file.touch()

    def post_build(self, before: str = "") -> str:
        """Return a postBuild that runs `before` and then waits."""
        return f"#!/bin/sh\n{before}\nuntil [ -e '{self.file}' ]; do sleep 0.05; done\n"

    @property
    def code(self) -> str:
        """Return Python code that waits and prints no output meanwhile."""
        return f"import os, time\nwhile not os.path.exists({str(self.file)!r}): time.sleep(0.05)"
