"""The packages as `make build` makes them, once for a whole run."""

import os
import subprocess
from pathlib import Path

import pytest

from infra.packages.byte_code import NoRuntimePythonError, runtime_python
from tests.cluster.cached import alone

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".aws-sam" / "build"
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"of-{os.getpid()}")  # several processes may share one run


def make(target: str) -> str:
    """Run a target of the Makefile and return its output, with its result last. Raise AssertionError with all output."""
    done = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"make {target}: {done.stdout}{done.stderr}"
    return done.stderr + done.stdout


def sam() -> Path:
    """Return the `sam` command of the environment that `make build` also uses.

    Only the Makefile creates it, at a time when no other process uses it.
    """
    with alone("packages"):
        make(".cache/sam/ready")
    return ROOT / ".cache" / "sam" / "bin" / "sam"


@pytest.fixture(scope="session")
def python() -> Path:
    """Return the interpreter of Lambda's Python version."""
    try:
        return runtime_python()
    except NoRuntimePythonError:
        pytest.skip("packages for AWS need Python 3.13: it is not on this machine")


@pytest.fixture(scope="session")
def printed(python: Path) -> str:
    """Return the output of `make build`, with its sizes last; its packages are in BUILT."""
    note = BUILT.parent / "printed" / RUN
    with alone("packages"):
        if not note.exists():
            output = make("build")
            for older in note.parent.glob("*"):
                older.unlink()
            note.parent.mkdir(exist_ok=True)
            note.write_text(output)
        return note.read_text()
