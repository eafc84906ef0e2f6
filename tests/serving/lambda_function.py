"""A function behind the Web Adapter, started as Lambda starts it: its folder, its layers in /opt, Lambda's environment and Python."""

import os
import shutil
import site
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.serving.runtime_api import RuntimeApi
from tests.serving.template_table import properties

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 60
# A /opt of its own, seen by nobody else.
OWN_OPT = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /opt && exec "$@"']
# What the adapter's layer has as /opt/bootstrap.
WRAPPER = '#!/bin/sh\nexec "$LAMBDA_TASK_ROOT/$_HANDLER"\n'
REAL = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONPATH": "/var/runtime",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_LOG_GROUP_NAME": "group",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
}


def what_is_missing() -> str:
    """In one line; empty when nothing is."""
    able = os.name == "posix" and os.geteuid() == 0 and shutil.which("unshare")
    if able and subprocess.run([*OWN_OPT, "/opt", "true"], capture_output=True).returncode == 0:
        return ""
    return "only root on Linux can start a function as Lambda does"


@contextmanager
def web_function(
    name: str, folder: Path, api: RuntimeApi, adapter: Path, faster: str = "", **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The function's own process, once it asks for events. name: as in the template.

    faster: Python that its interpreter runs first. variables: beside the template's own.
    """
    about = properties(resource=name)
    task = _installed(about, folder, adapter, faster)
    environment = {**_environment(about, folder, task), "AWS_LAMBDA_RUNTIME_API": api.address, **variables}
    wrapper = environment["AWS_LAMBDA_EXEC_WRAPPER"]
    with ExitStack() as running, (folder / "function.log").open("wb") as log:
        for program in ("/opt/extensions/lambda-adapter", wrapper):
            command = [*OWN_OPT, str(folder / "opt"), program]
            process = subprocess.Popen(command, cwd=task, env=environment, stdout=log, stderr=log)
            running.callback(_end, process)
        until = time.monotonic() + STARTS_WITHIN
        while not api.idle:
            assert time.monotonic() < until and process.poll() is None, (folder / "function.log").read_text()
            time.sleep(0.02)
        yield process


def _installed(about: Mapping[str, Any], folder: Path, adapter: Path, faster: str) -> Path:
    """Lays out what Lambda unpacks: the function's folder, and the layers."""
    opt, lang = folder / "opt", folder / "lang"
    for made in (opt / "extensions", opt / "python", lang):
        made.mkdir(parents=True)
    shutil.copy(adapter, opt / "extensions" / "lambda-adapter")
    (opt / "bootstrap").write_text(WRAPPER)
    (opt / "bootstrap").chmod(0o755)
    for package in Path(site.getsitepackages()[0]).iterdir():
        (opt / "python" / package.name).symlink_to(package)
    (opt / "python" / "bindery").symlink_to(ROOT / "layers" / "bindery" / "bindery")
    (opt / "python" / "sitecustomize.py").write_text(faster)
    (lang / "python3").symlink_to(Path(sys.executable).resolve())  # not the test's own: that has the packages already
    task = folder / "task"
    shutil.copytree(ROOT / about["CodeUri"], task)
    return task


def _environment(about: Mapping[str, Any], folder: Path, task: Path) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {str(name): str(value) for name, value in about["Environment"]["Variables"].items()}
    path = f"{folder / 'lang'}:{REAL['PATH']}"
    told = {"LAMBDA_TASK_ROOT": str(task), "_HANDLER": str(about["Handler"]), "AWS_LWA_PORT": str(port)}
    return {**REAL, **given, **told, "PATH": path}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
        return
    process.kill()
    process.wait()
