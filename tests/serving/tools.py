"""Tools that have an environment of their own, because they cannot live beside the project's own packages."""

import subprocess
import sys
from pathlib import Path

from tests.serving.uv import UV

CACHE = Path(__file__).parents[2] / ".cache"
SAM = "aws-sam-cli==1.170.0"


def sam() -> Path:
    """The `sam` command; made at first use, from the package registry."""
    return made("sam", SAM) / "bin" / "sam"


def made(name: str, *packages: str) -> Path:
    """An environment under `.cache` with these packages. Raises CalledProcessError."""
    folder, ready = CACHE / name, CACHE / name / "ready"
    wanted = "\n".join(packages)
    if not ready.exists() or ready.read_text() != wanted:
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *packages], check=True)
        ready.write_text(wanted)
    return folder
