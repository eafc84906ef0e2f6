"""`python -m infra.packages.builder_layer FOLDER`: makes the layer for CodeBuild, with its dependencies in the locked versions."""

import argparse
import shutil
from pathlib import Path

from infra.packages.locked import ROOT, install

OURS = ROOT / "layers" / "bindery" / "bindery", ROOT / "layers" / "builder" / "bindery_builder"


def make(folder: Path, uv: str) -> None:
    """Fill a layer's folder. uv: the command. Raises CalledProcessError."""
    target = folder / "python"
    install(target, uv, ["--only-group", "builder"])
    for package in OURS:
        shutil.copytree(
            package, target / package.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m infra.packages.builder_layer", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uv", default="uv", help="the command")
    arguments = parser.parse_args()
    make(arguments.folder, arguments.uv)
