"""What configuration files ask for, in uv's terms."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PythonWanted:
    """file: which one asks. request: in uv's words, such as `3.11` or `>=3.9,<3.12`. close: what will do instead."""

    file: str
    request: str
    close: str = ""


@dataclass(frozen=True)
class Requirements:
    """One file to install. folder: where its relative paths start. text: its lines, if they are not the file's own."""

    file: str
    folder: Path
    text: str | None = None


def python_of(file: str, version: str) -> PythonWanted:
    """`3.11.4` asks for that one; another 3.11 will do."""
    minor = re.match(r"\d+\.\d+(?=\.)", version)
    return PythonWanted(file, version, close=minor[0] if minor else "")
