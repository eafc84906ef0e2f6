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

    def setup(self) -> str:
        """Return the setup.py of a package without content, which waits.

        A postBuild has uv copy all of JupyterLab instead of linking it, which takes several seconds of a core.
        """
        return f"{self.code}\nfrom setuptools import setup\nsetup(name='held', version='1', py_modules=[])\n"

    @property
    def code(self) -> str:
        """Return Python code that waits and prints no output meanwhile."""
        return f"import os, time\nwhile not os.path.exists({str(self.file)!r}): time.sleep(0.05)"
