"""The Lambda Web Adapter, built once from its crate. `python -m tests.serving.web_adapter` builds it, which takes minutes."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.cluster.cached import cache, made

CRATE, VERSION = "lambda_web_adapter", "1.0.0-rc1"
"""The last version that was published as a crate; template.yaml's layer holds 1.0.0."""
READY = "BINDERY_TEST_WEB_ADAPTER"
"""A variable that leads to a ready binary."""


def what_is_missing() -> str:
    """Return the parts that this machine lacks to have one, in one line; an empty text if it has them all."""
    if os.environ.get(READY) or _built().is_dir() or shutil.which("cargo"):
        return ""
    return "the Lambda Web Adapter is built by cargo: no cargo on PATH"


def web_adapter() -> Path:
    """Return the binary. Build it if it is missing, or wait for another process that builds it."""
    if ready := os.environ.get(READY):
        return Path(ready)
    return made(_built(), _build) / "bin" / "lambda-adapter"


def _built() -> Path:
    return cache() / f"web-adapter-{VERSION}"


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as objects:
        ran = subprocess.run(
            ["cargo", "install", CRATE, "--version", VERSION, "--locked", "--root", str(folder)],
            env={**os.environ, "CARGO_TARGET_DIR": objects},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if ran.returncode:
        raise RuntimeError(f"cargo could not build the Lambda Web Adapter: {ran.stdout[-2000:]}")


if __name__ == "__main__":
    print(what_is_missing() or web_adapter())
