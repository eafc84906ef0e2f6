"""The baseline for Bindery: commands that a person types."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PATIENCE_SECONDS = 120
TOKEN = "0123456789abcdef0123456789abcdef"
PACKAGES = ("pip", "jupyterlab", "notebook", "nbgitpuller")
"""The packages that Bindery puts into every environment."""


def surroundings(home: Path) -> dict[str, str]:
    """Return an environment with a fresh HOME. Byte code is written, as on any machine that does not forbid it."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("BINDERY_", "JUPYTER"))}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**variables, "HOME": str(home), "JUPYTER_TOKEN": TOKEN}


def answers(url: str, token: str) -> bool:
    """Return True if the session's own API answers."""
    try:
        return (
            httpx.get(f"{url}api/status", headers={"Authorization": f"token {token}"}, trust_env=False).status_code
            == 200
        )
    except httpx.TransportError:
        return False


def wait_for(url: str, token: str) -> None:
    """Wait for the session and ask every 20 ms, as Bindery does."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not answers(url, token):
        if time.monotonic() > until:
            raise TimeoutError(url)
        time.sleep(0.02)


@contextmanager
def jupyter_lab(bin_folder: Path, copy_of: Path, place: Path) -> Iterator[None]:
    """Run `jupyter lab` in a fresh copy of the repository. It is up when the block begins."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(copy_of, place / "work")
    (place / "home").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    process = subprocess.Popen(
        [bin_folder / "jupyter", "lab", *options],
        cwd=place / "work",
        env=surroundings(place / "home"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/", TOKEN)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def build(uv: Path, requirements: Path, place: Path) -> Path:
    """Run `uv venv` and `uv pip install`; return the environment's folder of commands."""
    shutil.rmtree(place, ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    install = ["pip", "install", "--python", str(place), "-r", str(requirements), *PACKAGES]
    for command in (["venv", str(place)], install):
        subprocess.run([uv, "--quiet", *command], env=environment, check=True)
    return place / "bin"
