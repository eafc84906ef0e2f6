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


@dataclass(frozen=True)
class Package:
    """What Lambda unpacks and starts. folder: the function's own. packages: what its layers hold for Python, each by its name.

    python: the interpreter. variables: the function's. faster: Python that the interpreter runs first.
    """

    folder: Path
    handler: str
    packages: tuple[Path, ...]
    python: Path
    variables: Mapping[str, str]
    faster: str = ""


def of_this_checkout(name: str, faster: str = "", **variables: str) -> Package:
    """As it is written, on the packages of the tests. name: as in the template. variables: beside the template's own."""
    about = properties(resource=name)
    own = FUNCTIONS[name]["Properties"]["Environment"]["Variables"]
    given = {str(key): str(resolved(value, {})) for key, value in own.items()}
    packages = (*Path(site.getsitepackages()[0]).iterdir(), ROOT / "layers" / "bindery" / "bindery")
    # Not the test's own interpreter: that has the packages already.
    python = Path(sys.executable).resolve()
    return Package(ROOT / about["CodeUri"], about["Handler"], packages, python, {**given, **variables}, faster)


@pytest.fixture(scope="session")
def adapter() -> Path:
    """The Web Adapter, where a function can be started behind it."""
    missing = what_is_missing() or web_adapter.what_is_missing()
    if missing:
        pytest.skip(missing)
    return web_adapter.web_adapter()


@contextmanager
def web_function(package: Package, place: Path, api: RuntimeApi, adapter: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The function's own process, once it asks for events. place: a folder for it, and for its log."""
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
    """Lays out what Lambda unpacks: the function's folder, and the layers."""
    opt, lang = place / "opt", place / "lang"
    for made in (opt / "extensions", opt / "python", lang):
        made.mkdir(parents=True)
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
    told = {"LAMBDA_TASK_ROOT": str(task), "_HANDLER": package.handler, "AWS_LWA_PORT": str(port)}
    return {**REAL, **package.variables, **told, "PATH": path}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
        return
    process.kill()
    process.wait()
