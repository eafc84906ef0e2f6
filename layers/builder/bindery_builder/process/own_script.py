"""Command of a script of Bindery's own that runs in a separate Python process."""

import sys
from pathlib import Path

import bindery
import bindery_builder


def own_script(script: Path, *arguments: Path) -> list[str]:
    """Return the command. The script gets the arguments, then the folders of Bindery's packages, which it adds to its path.

    The process ignores the environment's settings of Python and the packages of its user.
    """
    files = [name for name in (bindery.__file__, bindery_builder.__file__) if name]
    packages = dict.fromkeys(str(Path(name).parents[1]) for name in files)
    return [sys.executable, "-I", str(script), *map(str, arguments), *packages]
