"""Conda packages, where the machine has a conda tool."""

import os
import shutil
from pathlib import Path

from bindery.domain.errors import CannotBuild
from bindery_builder.environments.environment_yml import read_environment_yml
from bindery_builder.failure_reason import failed
from bindery_builder.process.runner import Runner
from bindery_builder.process.scripts import ConfigurationFiles

_TOOLS = ("micromamba", "mamba", "conda")


def make_conda_environment(runner: Runner, content: Path, prefix: Path, file: Path, python: str) -> None:
    """At its final place, with a Python in any case. Raises CannotBuild, BuildFailed."""
    name = file.relative_to(content).as_posix()
    tool = next((found for tool in _TOOLS if (found := shutil.which(tool, path=os.environ.get("PATH")))), None)
    if tool is None:
        packages = read_environment_yml(ConfigurationFiles.of(content), file).packages
        some = ", ".join(package[:40] for package in packages[:5]) + (", ..." if len(packages) > 5 else "")
        raise CannotBuild(file=name, needs=f"conda packages ({some})", install="micromamba, mamba or conda on PATH")
    runner.log.say(f"Making the conda environment of {name}", "building")
    # `mamba env` and `conda env` read such a file; micromamba's own `create` does.
    words = ["create", "--yes"] if Path(tool).name == "micromamba" else ["env", "create"]
    _run(runner, [tool, *words, "--prefix", str(prefix), "--file", str(file)], file.parent, name)
    if not (prefix / "bin" / "python").exists():
        _run(runner, [tool, "install", "--yes", "--prefix", str(prefix), f"python={python}"], file.parent, name)


def _run(runner: Runner, command: list[str], folder: Path, step: str) -> None:
    code, last = runner.run(command, folder)
    if code:
        raise failed(step, code, last)
