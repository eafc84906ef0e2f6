"""Dependencies of a layer: the locked versions, for AWS's machines."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = "3.13"  # the version in Lambda and in the buildspec
# Keys are Lambda's names of architectures. Amazon Linux 2023 has glibc 2.34, in Lambda and in CodeBuild.
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}


def install(
    target: Path, uv: str, which: list[str], architecture: str = "x86_64", *, only_resolve: bool = False
) -> None:
    """Install exact versions, verified by their hashes, as wheels for AWS's machines, independent of this machine.

    uv: the command. which: its options that select packages from the lock file. architecture: a key of PLATFORMS. only_resolve:
    find a wheel for each package, but download none. Raises CalledProcessError.
    """
    export = [uv, "export", "--frozen", "--quiet", "--no-emit-project", *which]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True).stdout
    fitting = ["--python-version", PYTHON, "--python-platform", PLATFORMS[architecture], "--only-binary", ":all:"]
    checked = ["--no-deps", "--require-hashes", "--link-mode", "copy"]
    dry = ["--dry-run"] if only_resolve else []
    command = [uv, "pip", "install", "--quiet", *dry, "--target", str(target), *fitting, *checked, "-r", "-"]
    subprocess.run(command, cwd=ROOT, input=locked, check=True)
