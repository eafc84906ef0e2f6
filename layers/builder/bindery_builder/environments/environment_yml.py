"""Reader of `environment.yml`: its pip part, its Python, and the packages that need a conda tool."""

import re
from dataclasses import dataclass
from pathlib import Path

from bindery.domain.errors import BuildFailed
from bindery.domain.safe_yaml import LARGEST_ELSEWHERE, NotPlain, plain_yaml
from bindery_builder.environments.python_version import PythonWanted, Requirements, python_of
from bindery_builder.process.scripts import ConfigurationFiles

# Packages with the same names on conda and PyPI: they need no conda tool.
_ALSO_WITHOUT_CONDA = frozenset({"pip", "setuptools", "wheel", "jupyterlab", "notebook", "nbgitpuller"})
_NOTHING = (None, "", "~", "null")
_PACKAGE = re.compile(r"([A-Za-z0-9_.-]+)\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class EnvironmentYml:
    """Content of an `environment.yml`. packages: conda packages that only a conda tool can install."""

    python: PythonWanted | None
    requirements: Requirements | None
    packages: tuple[str, ...]

    @property
    def tool_needed(self) -> bool:
        return bool(self.packages)


def read_environment_yml(files: ConfigurationFiles, file: Path) -> EnvironmentYml:
    """Read an `environment.yml`. Raises BuildFailed if it is not valid."""
    name = files.name(file)
    python: PythonWanted | None = None
    pip: list[str] = []
    packages: list[str] = []
    for entry in _dependencies(files, file):
        if isinstance(entry, dict):
            pip += _strings(name, _value(entry, "pip") or [])
            continue
        package, spec = _split(name, entry)
        if package == "python":
            python = _python(name, spec)
        elif package in _ALSO_WITHOUT_CONDA:
            pip += [package + _pip_spec(spec)] if spec else []
        else:
            packages.append(package)
    requirements = Requirements(name, file.parent, "".join(f"{line}\n" for line in pip)) if pip else None
    return EnvironmentYml(python, requirements, tuple(packages))


def _dependencies(files: ConfigurationFiles, file: Path) -> list[object]:
    try:
        read = plain_yaml(files.text(file), LARGEST_ELSEWHERE)
    except NotPlain as error:
        raise BuildFailed(step=files.name(file), why=str(error)) from None
    dependencies = _value(read, "dependencies") if read not in _NOTHING else None
    if not isinstance(dependencies or [], list) or not (isinstance(read, dict) or read in _NOTHING):
        raise BuildFailed(step=files.name(file), why="should hold a list called dependencies")
    return list(dependencies) if isinstance(dependencies, list) else []


def _value(table: object, key: str) -> object:
    """Return the value of a key, or None if it is absent or YAML's null. The words for null are read as strings, too."""
    value = table.get(key) if isinstance(table, dict) else None
    return None if value in _NOTHING else value


def _strings(name: str, entries: object) -> list[str]:
    if not isinstance(entries, list) or not all(isinstance(entry, str) and "\n" not in entry for entry in entries):
        raise BuildFailed(step=name, why="its pip part should be a list of requirements")
    return [str(entry) for entry in entries]


def _split(name: str, entry: object) -> tuple[str, str]:
    """Split a conda requirement: `conda-forge::python=3.11` -> (`python`, `=3.11`)."""
    match = _PACKAGE.fullmatch(entry.rpartition("::")[2].strip()) if isinstance(entry, str) else None
    if match is None:
        raise BuildFailed(step=name, why=f"{str(entry)[:60]!r} does not name a package")
    return match[1].lower(), match[2].strip()


def _python(name: str, spec: str) -> PythonWanted | None:
    exact = re.fullmatch(r"={0,2}\s*(\d+(\.\d+){0,2})(\.\*|\*)?(=\S*)?", spec)
    if exact:
        return python_of(name, exact[1])
    if not spec or not re.fullmatch(r"[\d.,<>=!~* ]{1,80}", spec):
        return None
    return PythonWanted(name, spec.replace(" ", ""))


def _pip_spec(spec: str) -> str:
    """Return the pip form of a conda version: conda's `=4.1` means 4.1 and every version below it, such as 4.1.2."""
    if spec[0] in "<>!~" or spec.startswith("=="):
        return spec
    version = spec.lstrip("=").split("=")[0].strip().removesuffix("*").removesuffix(".")
    return f"=={version}.*"
