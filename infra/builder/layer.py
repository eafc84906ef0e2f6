"""`python -m infra.builder.layer FOLDER`: what runs inside CodeBuild, with all that it needs in the locked versions."""

import argparse
import shutil
from pathlib import Path

from infra.packages.locked import ROOT, install

OURS = {"bindery": ROOT / "layers" / "bindery" / "bindery", "infra/builder": ROOT / "infra" / "builder"}


def make(folder: Path, uv: str) -> None:
    """Fills a layer's folder. uv: the command. Raises CalledProcessError."""
    target = folder / "python"
    install(target, uv, ["--only-group", "builder"])
    for inside, source in OURS.items():
        ignored = shutil.ignore_patterns("__pycache__", "layer.py", "buildspec.yml")
        shutil.copytree(source, target / inside, ignore=ignored, dirs_exist_ok=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m infra.builder.layer", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uv", default="uv", help="the command")
    given = parser.parse_args()
    make(given.folder, given.uv)
