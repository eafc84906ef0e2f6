"""Requests of configuration files in uv's terms."""

import re
from dataclasses import dataclass
from pathlib import Path

_OTHER_FILES = re.compile(r"(?m)^[ \t]*(?:-r|-c|--requirement|--constraint)")
_EDITABLE_REPOSITORY = re.compile(r"(?m)^[ \t]*(?:-e|--editable)[ \t=]*((?:git|hg|svn|bzr)\+)")


@dataclass(frozen=True)
class PythonWanted:
    """Requested Python version.

    file: the file that requests it. request: in uv's syntax, such as `3.11` or `>=3.9,<3.12`. close: an acceptable alternative.
    prefers_default: True if the default Python is taken where it fits.
    """

    file: str
    request: str
    close: str = ""
    prefers_default: bool = False

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


def without_editable_repositories(text: str, at_root: bool) -> str | None:
    """Return requirements in which `-e git+https://...` is `git+https://...`, as uv requires; None if the text has no such line.

    pip writes such lines for a package that was installed from a working copy (`pip freeze`). An editable repository would be cloned
    into a folder of the build. Names in `#egg=` stay. at_root: False if the file is in `binder/`. Such a file stays as it is if it names
    other files, since their paths begin at its folder.
    """
    changed = _EDITABLE_REPOSITORY.sub(r"\1", text)
    return changed if changed != text and (at_root or not _OTHER_FILES.search(text)) else None


def python_of(file: str, version: str) -> PythonWanted:
    """Return the request for a version: `3.11.4` requests exactly that one and accepts another 3.11."""
    minor = re.match(r"\d+\.\d+(?=\.)", version)
    return PythonWanted(file, version, close=minor[0] if minor else "")
