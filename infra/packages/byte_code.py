"""Byte-code for the runtime's own Python: without it every cold start compiles what it imports."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

PYTHON = "3.13"
MISSING = (
    f"Packages for AWS are built with Lambda's own Python, {PYTHON}, which is not here: neither python{PYTHON} on PATH "
    f"nor a pyenv version {PYTHON}.x. Install it (pyenv install {PYTHON}, or your system's python{PYTHON})."
)


class NoRuntimePythonError(Exception):
    """The runtime's Python is not on this machine."""


@cache
def runtime_python() -> Path:
    """The interpreter itself: on PATH there may only be a shim that knows no such version. Raises NoRuntimePythonError."""
    name = f"python{PYTHON}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = [found] if (found := shutil.which(name)) else []
    for candidate in (*on_path, *sorted(pyenv.glob(f"versions/{PYTHON}*/bin/{name}"))):
        command = [str(candidate), "-c", "import sys; print(sys.executable)"]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return Path(told.stdout.strip())
    raise NoRuntimePythonError(MISSING)


def compile_folder(folder: Path, at: str) -> None:
    """Compiles all modules below. at: where the folder is going to be, for tracebacks. Raises CalledProcessError.

    Unchecked, as a deployed source never changes; by hash, as zip files forget when their content was written.
    """
    lasting = ["--invalidation-mode", "unchecked-hash"]
    shown = ["-s", str(folder), "-p", at]
    subprocess.run([str(runtime_python()), "-m", "compileall", "-q", "-f", *lasting, *shown, str(folder)], check=True)
