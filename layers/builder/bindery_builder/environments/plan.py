"""Plan of an environment, read from a repository's configuration files. Refuses repositories that need other tools."""

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from bindery.domain.build_files import CONDA
from bindery.domain.errors import BuildFailed, CannotBuild
from bindery_builder.environments.conda_request import CondaSpecs
from bindery_builder.environments.environment_yml import read_environment_yml
from bindery_builder.environments.pipfile import read_pipfile
from bindery_builder.environments.python_version import (
    PythonWanted,
    Requirements,
    python_of,
    without_editable_repositories,
)
from bindery_builder.process.scripts import ConfigurationFiles

_BUILD_TOOLS = frozenset({"poetry", "flit"})
_CONTAINERS = "podman, buildah or docker, for BINDERY_BUILDER=container"


@dataclass(frozen=True)
class Plan:
    """Steps of a build with uv.

    requirements: the packages to install, if there are any. conda: the conda packages, if there are any. project: `setup.py` or
    `pyproject.toml`, if the repository itself is to be installed. project_dependencies: `pyproject.toml`, if only its dependencies are: it
    does not say how to build a package. start: relative to the content. notes: sentences for the log.
    """

    python: PythonWanted | None = None
    requirements: Requirements | None = None
    conda: CondaSpecs | None = None
    project: str = ""
    project_dependencies: str = ""
    post_build: Path | None = None
    start: Path | None = None
    notes: tuple[str, ...] = ()


def read_plan(content: Path) -> Plan:
    """Read the plan of the repository in `content`.

    Raises CannotBuild, RepositoryUnusable, and BuildFailed for a file that is not valid.
    """
    files = ConfigurationFiles.of(content)
    _refuse_unsupported(files)
    start = files.find("start")
    plan = _packages(files, _runtime(files))
    return replace(plan, post_build=files.find("postBuild"), start=start.relative_to(content) if start else None)


def _packages(files: ConfigurationFiles, python: PythonWanted | None) -> Plan:
    """Return the packages part of the plan.

    environment.yml has precedence over a Pipfile, and a Pipfile over requirements.txt and the repository's own package.
    """
    environment, requirements = files.find(*CONDA), files.find("requirements.txt")
    if environment:
        conda = read_environment_yml(files, environment)
        notes = (f"{files.name(requirements)} is not read: {environment.name} counts.",) if requirements else ()
        return Plan(conda.python or python, conda.requirements, conda.conda, notes=notes)
    if locked := files.find("Pipfile.lock", "Pipfile"):
        pipfile_python, requires = read_pipfile(files, locked)
        return Plan(pipfile_python or python, requires)
    if requirements:
        text = without_editable_repositories(
            files.text(requirements), files.at_root
        )  # uv's own error for other encodings names no line
        project = _project(files)
        return replace(
            project,
            python=python or project.python,
            requirements=Requirements(files.name(requirements), files.content, text),
        )
    project = _project(files)
    return replace(project, python=python or project.python)


def _refuse_unsupported(files: ConfigurationFiles) -> None:
    for name, needs in (
        ("Dockerfile", "a container image"),
        ("Project.toml", "Julia"),
        ("JuliaProject.toml", "Julia"),
        ("REQUIRE", "Julia"),
        ("default.nix", "Nix"),
        ("install.R", "R"),
    ):
        if file := files.find(name):
            raise CannotBuild(file=files.name(file), needs=needs, install=_CONTAINERS)
    description = files.find("DESCRIPTION") if files.at_root else None
    if description and re.search(rb"^Package:\s", description.read_bytes(), re.MULTILINE):
        raise CannotBuild(file="DESCRIPTION", needs="R", install=_CONTAINERS)
    if apt := files.find("apt.txt"):
        names = [word for line in files.text(apt).splitlines() for word in line.partition("#")[0].split()]
        if names:
            raise CannotBuild(file=files.name(apt), needs=f"Debian packages ({some_of(names)})", install=_CONTAINERS)


def some_of(names: list[str]) -> str:
    """Return the first five names of a list, for a sentence."""
    return ", ".join(name[:40] for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _runtime(files: ConfigurationFiles) -> PythonWanted | None:
    file = files.find("runtime.txt")
    text = files.text(file).strip() if file else ""
    if not file or not text:
        return None
    if match := re.fullmatch(r"[rR]-([\w.-]{1,30})", text):
        raise CannotBuild(file=files.name(file), needs=f"R {match[1]}", install=_CONTAINERS)
    if match := re.fullmatch(r"python-(\d{1,3}(\.\d{1,3}){0,2})(\.x)?", text):
        return python_of(files.name(file), match[1])
    raise BuildFailed(step=files.name(file), why=f"should be like python-3.11, but is {text[:40]!r}")


def _project(files: ConfigurationFiles) -> Plan:
    """Return the part of the plan for the repository's own package, which is installed only if the root holds the configuration.

    As in repo2docker, a package is a `setup.py`, or a `pyproject.toml` with the tables `project` and `build-system`. Of a
    `pyproject.toml` without `build-system`, the dependencies are installed.
    """
    if not files.at_root:
        return Plan()
    setup = "setup.py" if files.find("setup.py") else ""
    if not (pyproject := files.find("pyproject.toml")):
        return Plan(project=setup)
    tables = _toml(files.text(pyproject))
    project, buildable = tables.get("project"), "build-system" in tables
    python = _required_python(project) if isinstance(project, dict) else None
    if buildable and (project is not None or _other_metadata(tables)):
        return Plan(python, project="pyproject.toml")
    if setup or project is None:
        return Plan(python, project=setup)
    return Plan(python, project_dependencies="pyproject.toml")


def _toml(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BuildFailed(step="pyproject.toml", why=str(error)) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or deeply nested brackets
        raise BuildFailed(step="pyproject.toml", why="cannot be read: a value is too long or too deep") from None


def _other_metadata(tables: dict[str, object]) -> bool:
    """Return True if the file describes a package in the table of its build tool, as Poetry and Flit did first."""
    tool = tables.get("tool")
    return isinstance(tool, dict) and not _BUILD_TOOLS.isdisjoint(tool)


def _required_python(project: dict[str, object]) -> PythonWanted | None:
    requires = project.get("requires-python")
    if not isinstance(requires, str) or not re.fullmatch(r"[\d.,<>=!~* ]{1,80}", requires):
        return None
    return PythonWanted("pyproject.toml", requires.replace(" ", ""), prefers_default=True)
