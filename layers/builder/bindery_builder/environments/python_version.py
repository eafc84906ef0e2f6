"""Requests of configuration files in uv's terms."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PythonWanted:
    """Requested Python version.

    file: the file that requests it. request: in uv's syntax, such as `3.11` or `>=3.9,<3.12`. close: an acceptable alternative.
    """

    file: str
    request: str
    close: str = ""

    @property
    def conda_version(self) -> str:
        """Return the version as conda spells it: a bare `3.11` becomes `3.11.*`."""
        version = self.close or self.request
        return f"{version}.*" if version[0].isdigit() else version


@dataclass(frozen=True)
class Requirements:
    """File with requirements to install.

    folder: the base of its relative paths. text: its lines, if they differ from the file's own.
    """

    file: str
    folder: Path
    text: str | None = None


def python_of(file: str, version: str) -> PythonWanted:
    """Return the request for a version: `3.11.4` requests exactly that one and accepts another 3.11."""
    minor = re.match(r"\d+\.\d+(?=\.)", version)
    return PythonWanted(file, version, close=minor[0] if minor else "")
