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
    """What it said, its result last. Raises AssertionError with all that."""
    done = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"make {target}: {done.stdout}{done.stderr}"
    return done.stderr + done.stdout


def sam() -> Path:
    """The `sam` command, of the environment that `make build` uses, too: made by the Makefile alone, while nobody uses it."""
    with alone("packages"):
        make(".cache/sam/ready")
    return ROOT / ".cache" / "sam" / "bin" / "sam"


@pytest.fixture(scope="session")
def python() -> Path:
    """Lambda's own."""
    try:
        return runtime_python()
    except NoRuntimePythonError:
        pytest.skip("packages for AWS need Python 3.13: it is not on this machine")


@pytest.fixture(scope="session")
def printed(python: Path) -> str:
    """What `make build` said, its sizes last; its packages are in BUILT."""
    note = BUILT.parent / "printed" / RUN
    with alone("packages"):
        if not note.exists():
            told = make("build")
            for older in note.parent.glob("*"):
                older.unlink()
            note.parent.mkdir(exist_ok=True)
            note.write_text(told)
        return note.read_text()
