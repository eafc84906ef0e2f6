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
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infra.deployed.rights import FUNCTIONS
from tests.infra.deployed.variables import resolved
from tests.serving import web_adapter
from tests.serving.runtime_api import RuntimeApi
from tests.serving.template_table import properties

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 60
# An /opt of its own, which no other process sees.
OWN_OPT = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /opt && exec "$@"']
# The content of /opt/bootstrap in the adapter's layer.
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
    """Return the parts that this machine lacks, in one line; an empty text if it has them all."""
    able = os.name == "posix" and os.geteuid() == 0 and shutil.which("unshare")
    if able and subprocess.run([*OWN_OPT, "/opt", "true"], capture_output=True).returncode == 0:
        return ""
    return "only root on Linux can start a function as Lambda does"


@dataclass(frozen=True)
class Package:
    """The files that Lambda unpacks and starts. folder: the function's own.

    packages: its layers' content for Python, each by its name. python: the interpreter.
    variables: the function's. faster: Python code that the interpreter runs first.
    """

    folder: Path
    handler: str
    packages: tuple[Path, ...]
    python: Path
    variables: Mapping[str, str]
    faster: str = ""


def of_this_checkout(name: str, faster: str = "", **variables: str) -> Package:
    """Return the package of the working tree, on the packages of the tests.

    name: as in the template. variables: additions to the template's own.
    """
    about = properties(resource=name)
    own = FUNCTIONS[name]["Properties"]["Environment"]["Variables"]
    settings = {str(key): str(resolved(value, {})) for key, value in own.items()}
    packages = (*Path(site.getsitepackages()[0]).iterdir(), ROOT / "layers" / "bindery" / "bindery")
    # The test's own interpreter does not fit: it has the packages already.
    python = Path(sys.executable).resolve()
    return Package(ROOT / about["CodeUri"], about["Handler"], packages, python, {**settings, **variables}, faster)


@pytest.fixture(scope="session")
def adapter() -> Path:
    """Return the path of the Web Adapter, on a machine that can start a function behind it."""
    missing = what_is_missing() or web_adapter.what_is_missing()
    if missing:
        pytest.skip(missing)
    return web_adapter.web_adapter()


@contextmanager
def web_function(package: Package, place: Path, api: RuntimeApi, adapter: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield the function's own process, once it asks for events. place: a folder for it, and for its log."""
    task = _installed(package, place, adapter)
    environment = {**_environment(package, place, task), "AWS_LAMBDA_RUNTIME_API": api.address}
    wrapper = environment["AWS_LAMBDA_EXEC_WRAPPER"]
    with ExitStack() as running, (place / "function.log").open("wb") as log:
        for program in ("/opt/extensions/lambda-adapter", wrapper):
            command = [*OWN_OPT, str(place / "opt"), program]
            process = subprocess.Popen(command, cwd=task, env=environment, stdout=log, stderr=log)
            running.callback(_end, process)
        until = time.monotonic() + STARTS_WITHIN
        while not api.idle:
            assert time.monotonic() < until and process.poll() is None, (place / "function.log").read_text()
            time.sleep(0.02)
        yield process


def _installed(package: Package, place: Path, adapter: Path) -> Path:
    """Lay out the files that Lambda unpacks: the function's folder, and the layers."""
    opt, lang = place / "opt", place / "lang"
    for folder in (opt / "extensions", opt / "python", lang):
        folder.mkdir(parents=True)
    shutil.copy(adapter, opt / "extensions" / "lambda-adapter")
    (opt / "bootstrap").write_text(WRAPPER)
    (opt / "bootstrap").chmod(0o755)
    for each in package.packages:
        (opt / "python" / each.name).symlink_to(each)
    if package.faster:
        (opt / "python" / "sitecustomize.py").write_text(package.faster)
    (lang / "python3").symlink_to(package.python)
    task = place / "task"
    shutil.copytree(package.folder, task)
    return task


def _environment(package: Package, place: Path, task: Path) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = f"{place / 'lang'}:{REAL['PATH']}"
    environment = {"LAMBDA_TASK_ROOT": str(task), "_HANDLER": package.handler, "AWS_LWA_PORT": str(port)}
    return {**REAL, **package.variables, **environment, "PATH": path}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
        return
    process.kill()
    process.wait()
