"""The folders of Bindery's packages, for processes that tests start with the project's own code."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSIDE = ("layers/bindery", "layers/builder", "infra/local", ".")
"""Folders of the project that hold packages."""


def python_path(root: Path = ROOT) -> str:
    """Return a PYTHONPATH of a copy of the project, or of the project itself."""
    return os.pathsep.join(str(root / folder) for folder in INSIDE)
