"""What a layer needs from elsewhere: the locked versions, as AWS's machines take them."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = "3.13"  # Lambda's, and the buildspec's
PLATFORM = "x86_64-manylinux_2_28"  # Amazon Linux 2023 has glibc 2.34, in Lambda and in CodeBuild


def install(target: Path, uv: str, which: list[str]) -> None:
    """Exact versions, checked against their hashes, as wheels for those machines, whatever this machine is.

    uv: the command. which: its words for what is wanted of the lock file. Raises CalledProcessError.
    """
    export = [uv, "export", "--frozen", "--quiet", "--no-emit-project", *which]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True).stdout
    fitting = ["--python-version", PYTHON, "--python-platform", PLATFORM, "--only-binary", ":all:"]
    checked = ["--no-deps", "--require-hashes", "--link-mode", "copy"]
    command = [uv, "pip", "install", "--quiet", "--target", str(target), *fitting, *checked, "-r", "-"]
    subprocess.run(command, cwd=ROOT, input=locked, check=True)
