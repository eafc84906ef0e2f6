"""Conda environments, on machines with a conda tool."""

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
    """Make the environment at its final place. It always has a Python. Raises CannotBuild, BuildFailed."""
    name = file.relative_to(content).as_posix()
    tool = next((path for name in _TOOLS if (path := shutil.which(name, path=os.environ.get("PATH")))), None)
    if tool is None:
        packages = read_environment_yml(ConfigurationFiles.of(content), file).packages
        some = ", ".join(package[:40] for package in packages[:5]) + (", ..." if len(packages) > 5 else "")
        raise CannotBuild(file=name, needs=f"conda packages ({some})", install="micromamba, mamba or conda on PATH")
    runner.log.say(f"Making the conda environment of {name}", "building")
    # `mamba env create` and `conda env create` read the file; for micromamba it is `create`.
    words = ["create", "--yes"] if Path(tool).name == "micromamba" else ["env", "create"]
    _run(runner, [tool, *words, "--prefix", str(prefix), "--file", str(file)], file.parent, name)
    if not (prefix / "bin" / "python").exists():
        _run(runner, [tool, "install", "--yes", "--prefix", str(prefix), f"python={python}"], file.parent, name)


def _run(runner: Runner, command: list[str], folder: Path, step: str) -> None:
    code, last = runner.run(command, folder)
    if code:
        raise failed(step, code, last)
