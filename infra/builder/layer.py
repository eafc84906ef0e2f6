"""`python -m infra.builder.layer FOLDER`: what runs inside CodeBuild, with all that it needs in the locked versions."""

import argparse
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = "3.13"  # as the buildspec has it
PLATFORM = "x86_64-manylinux_2_28"  # CodeBuild's Amazon Linux 2023 has glibc 2.34
OURS = {"bindery": ROOT / "layers" / "bindery" / "bindery", "infra/builder": ROOT / "infra" / "builder"}


def make(folder: Path, uv: str) -> None:
    """Fills a layer's folder. uv: the command. Raises CalledProcessError."""
    target = folder / "python"
    export = [uv, "export", "--frozen", "--quiet", "--only-group", "builder", "--no-emit-project"]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S603 - fixed words
    fitting = ["--python-version", PYTHON, "--python-platform", PLATFORM, "--only-binary", ":all:"]
    checked = ["--no-deps", "--require-hashes", "--link-mode", "copy"]
    install = [uv, "pip", "install", "--quiet", "--target", str(target), *fitting, *checked, "-r", "-"]
    subprocess.run(install, cwd=ROOT, input=locked, check=True)  # noqa: S603 - fixed words
    for inside, source in OURS.items():
        ignored = shutil.ignore_patterns("__pycache__", "layer.py", "buildspec.yml")
        shutil.copytree(source, target / inside, ignore=ignored, dirs_exist_ok=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m infra.builder.layer", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uv", default="uv", help="the command")
    given = parser.parse_args()
    make(given.folder, given.uv)
