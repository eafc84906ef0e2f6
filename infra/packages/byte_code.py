"""Byte-code for the Python of Lambda's runtime: without it, every cold start compiles the modules that it imports."""

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
    """Error for a machine without the runtime's Python."""


@cache
def runtime_python() -> Path:
    """Return the interpreter itself, since PATH may only have a pyenv shim without that version.

    Raises NoRuntimePythonError.
    """
    name = f"python{PYTHON}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = [path] if (path := shutil.which(name)) else []
    for candidate in (*on_path, *sorted(pyenv.glob(f"versions/{PYTHON}*/bin/{name}"))):
        command = [str(candidate), "-c", "import sys; print(sys.executable)"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return Path(result.stdout.strip())
    raise NoRuntimePythonError(MISSING)


def compile_folder(folder: Path, at: str) -> None:
    """Compile all modules in the folder. at: the folder's path after deployment, for tracebacks. Raises CalledProcessError.

    The byte-code is not checked against its source, as a deployed source never changes. It is hash-based, as zip files do not keep
    the source's modification times.
    """
    lasting = ["--invalidation-mode", "unchecked-hash"]
    traceback_path = ["-s", str(folder), "-p", at]
    subprocess.run(
        [str(runtime_python()), "-m", "compileall", "-q", "-f", *lasting, *traceback_path, str(folder)], check=True
    )
