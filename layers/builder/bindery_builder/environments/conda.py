"""Conda environments: solved and installed into a prefix by py-rattler, in a process of its own."""

import json
import re
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bindery.domain.errors import BinderyError, BuildFailed
from bindery_builder.environments.conda_request import CondaRequest, CondaResult, CondaSpecs
from bindery_builder.failure_reason import failed
from bindery_builder.process.environment import MARK
from bindery_builder.process.own_script import own_script
from bindery_builder.process.runner import Runner

JUPYTER: Final = ("notebook >=7", "ipywidgets >=8", "jupyter-resource-usage", "jupyter-offlinenotebook", "nbgitpuller")
CURRENT: Final = ("jupyterlab >=4,<5", *JUPYTER, "nodejs", "setuptools <81", "pip")
ANY_VERSION: Final = ("python", "jupyterlab", "notebook", "ipykernel", "nbgitpuller", "setuptools", "pip")
BASE: Final = (("python 3.10.*", *CURRENT), ("python", *CURRENT), ANY_VERSION, ("python", "pip"))
"""Packages of every environment, in groups. The first group with a solution beside the repository's packages is installed.

A package that the repository names is left out of the groups. Python 3.10 is repo2docker's default. With the last group, JupyterLab
is installed from PyPI. A change here changes every environment: increase RECIPE in bindery_local/builds/uv/builds.py, too.
"""
_SCRIPT = Path(__file__).with_name("conda_script.py")
_ACTIVATE = """\
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    [ -f "$script" ] && . "$script"
done >&2
exec env -0 >"$1"
"""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}")
_OF_THE_SHELL = frozenset({"_", "OLDPWD", "PWD", "SHLVL"})
_OF_THE_BUILD = frozenset(
    {"HOME", "TMPDIR", "VIRTUAL_ENV", "REPO_DIR", "NB_PYTHON_PREFIX", "KERNEL_PYTHON_PREFIX", "UV_CACHE_DIR", MARK}
)
"""Variables of the build that activation scripts do not change: its later steps and the search for stray processes rely on them."""
MOST_VARIABLES, MOST_CHARACTERS, MOST_BYTES = 200, 50_000, 1_000_000


@dataclass(frozen=True)
class CondaSource:
    """Origin of conda packages. cache: folder of downloaded packages, shared by all builds. channels: address of channels with a name."""

    cache: Path
    channels: str


def make_conda_environment(
    runner: Runner, source: CondaSource, specs: CondaSpecs, prefix: Path, folder: Path
) -> CondaResult:
    """Solve the packages together with BASE and install them into `prefix`.

    folder: the place for temporary files, out of the repository's reach. Raises BuildFailed, BuildServiceDown, and the errors of
    `Runner.run`.
    """
    request = CondaRequest(
        channels=specs.addresses(source.channels),
        specs=specs.addressed(source.channels),
        base=BASE,
        prefix=str(prefix),
        cache=str(source.cache),
    )
    request_file, result_file = folder / "conda.json", folder / "conda-result.json"
    request_file.write_text(request.model_dump_json())
    runner.log.say(f"Solving the conda packages of {specs.file}", "building")
    code, last = runner.run(own_script(_SCRIPT, request_file, result_file), folder)
    if code:
        raise failed(specs.file, code, last, _crash(code, last))
    result = CondaResult.model_validate_json(result_file.read_bytes())
    if result.why and (panic := _panic(last)):  # the error is that of another thread, which the panic has ended
        raise failed(specs.file, 1, last, panic)
    if result.why:
        raise _failure(runner, specs, result)
    _compile(runner, prefix)
    return result


def _crash(code: int, last: list[str]) -> str:
    """Return the reason of a process that was ended by a signal, or an empty string. Rust aborts without memory, and in a panic."""
    if code not in _CRASHED:
        return ""
    if any(_NO_MEMORY.search(line) for line in last):
        return "solving its packages takes more memory than a build may use"
    return _panic(last) or _CRASH


def _panic(last: list[str]) -> str:
    """Return the message of a panic in the process's output, or an empty string."""
    panic = next((number for number, line in enumerate(last) if " panicked at " in line), None)
    return "" if panic is None else ": ".join([_CRASH, *last[panic + 1 : panic + 2]])


_CRASHED = [code for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS) for code in (-number, 128 + number)]
_CRASH = "the installer of conda packages crashed"
_NO_MEMORY = re.compile(r"memory allocation of|cannot allocate memory|bad_alloc|MemoryError", re.IGNORECASE)


def _failure(runner: Runner, specs: CondaSpecs, result: CondaResult) -> BinderyError:
    """Return the error of a solve or an installation. The log gets the whole explanation."""
    runner.log.last.clear()
    for line in result.why.splitlines():
        runner.log.say(line, "building")
    if result.pythons:
        return BuildFailed(
            step=specs.file, why=f"no channel has its Python; the nearest is {_nearest(specs, result.pythons)}"
        )
    lines = list(runner.log.last)  # without passwords and the build's folder
    return failed(specs.file, 1, lines, " ".join(" ".join(lines).split())[:300])


def _nearest(specs: CondaSpecs, pythons: tuple[str, ...]) -> str:
    """Return the version nearest to the requested one. Versions of another major version are the farthest."""
    text = next((spec for spec in specs.specs if re.match(r"(.*::)?python\b", spec)), "")
    number = re.search(r"(\d{1,3})(?:\.(\d{1,3}))?", text)
    major, minor = (int(number[1]), int(number[2] or 0)) if number else (3, 10)

    def distance(version: str) -> tuple[int, int]:
        numbers = [int(part) for part in version.split(".")]
        return abs(numbers[0] - major), abs(numbers[1] - minor)

    return min(pythons, key=distance)


def _compile(runner: Runner, prefix: Path) -> None:
    """Compile the packages to byte code: conda's packages for any platform have none, and each session would compile them again."""
    python = prefix / "bin" / "python"
    for packages in prefix.glob("lib/python*/site-packages"):
        # A package may hold templates that are not valid Python: the exit code says nothing.
        runner.run([str(python), "-m", "compileall", "-q", str(packages)], prefix, quiet=True)


def activation(runner: Runner, prefix: Path, folder: Path) -> dict[str, str]:
    """Return the variables that the activation scripts of the packages set or change. Raises the errors of `Runner.run`."""
    before = {**runner.environment, "CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": str(prefix)}
    variables = {name: before[name] for name in ("CONDA_PREFIX", "CONDA_DEFAULT_ENV")}
    shell = shutil.which("bash") or shutil.which("sh")
    if shell is None or not any(prefix.glob("etc/conda/activate.d/*.sh")):
        return variables
    answer = folder / "activation"
    code, last = replace(runner, environment=before).run([shell, "-c", _ACTIVATE, "activate", str(answer)], prefix)
    if code:
        raise failed("activation scripts", code, last)
    if not answer.is_file():  # a pipe in its place would block this thread
        raise BuildFailed(step="activation scripts", why="they end the shell, or remove a file of the build")
    pairs = (pair.partition("=") for pair in _text(answer).split("\0") if pair)
    own = _OF_THE_SHELL | _OF_THE_BUILD
    changed = {name: value for name, _, value in pairs if before.get(name) != value and name not in own}
    variables |= {name: value for name, value in changed.items() if _NAME.fullmatch(name)}
    if len(variables) > MOST_VARIABLES or len(json.dumps(variables)) > MOST_CHARACTERS:
        raise BuildFailed(step="activation scripts", why="they set more variables than a session can have")
    return variables


def _text(answer: Path) -> str:
    """Return the variables as `env -0` prints them, at most MOST_BYTES. Bytes that are not UTF-8 are replaced: a manifest is UTF-8."""
    with answer.open("rb") as file:
        return file.read(MOST_BYTES).decode(errors="replace")
