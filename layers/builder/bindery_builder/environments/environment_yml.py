"""Reader of `environment.yml`: its pip part, its Python, its channels and its conda packages."""

import re
from dataclasses import dataclass
from pathlib import Path

from bindery.domain.errors import BuildFailed
from bindery.domain.safe_yaml import LARGEST_ELSEWHERE, NotPlain, plain_yaml
from bindery_builder.environments.conda_request import CondaSpecs
from bindery_builder.environments.python_version import PythonWanted, Requirements, python_of
from bindery_builder.process.scripts import ConfigurationFiles

# Packages with the same names on conda and PyPI. With these alone, the environment is made from PyPI, which is faster.
_ALSO_ON_PYPI = frozenset({"pip", "setuptools", "wheel", "jupyterlab", "notebook", "nbgitpuller"})
_NOTHING = (None, "", "~", "null")
_PACKAGE = re.compile(r"([A-Za-z0-9_.-]+)\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class EnvironmentYml:
    """Content of an `environment.yml`.

    requirements: its pip part; where there are no conda packages, also the packages that PyPI has under the same name. conda: all its
    conda packages; None if PyPI has all of them.
    """

    python: PythonWanted | None
    requirements: Requirements | None
    conda: CondaSpecs | None


def read_environment_yml(files: ConfigurationFiles, file: Path) -> EnvironmentYml:
    """Read an `environment.yml`. Raises BuildFailed if it is not valid."""
    name = files.name(file)
    read = _mapping(files, file)
    python: PythonWanted | None = None
    pip: list[str] = []
    also_on_pypi: list[str] = []
    specs: list[str] = []
    only_on_conda = False
    for entry in _dependencies(name, read):
        if isinstance(entry, dict):
            pip += _strings(name, _value(entry, "pip") or [])
            continue
        package, spec = _split(name, entry)
        specs.append(str(entry).strip())
        if package == "python":
            python = _python(name, spec)
            only_on_conda = only_on_conda or bool(spec and not python)
        elif package in _ALSO_ON_PYPI:
            also_on_pypi += [package + _pip_spec(spec)] if spec else []
        else:
            only_on_conda = True
    lines = pip if only_on_conda else [*also_on_pypi, *pip]
    requirements = Requirements(name, file.parent, "".join(f"{line}\n" for line in lines)) if lines else None
    conda = CondaSpecs(name, _channels(name, read), tuple(specs)) if only_on_conda else None
    return EnvironmentYml(python, requirements, conda)


def _mapping(files: ConfigurationFiles, file: Path) -> object:
    try:
        return plain_yaml(files.text(file), LARGEST_ELSEWHERE)
    except NotPlain as error:
        raise BuildFailed(step=files.name(file), why=str(error)) from None


def _dependencies(name: str, read: object) -> list[object]:
    dependencies = _value(read, "dependencies") if read not in _NOTHING else None
    if not isinstance(dependencies or [], list) or not (isinstance(read, dict) or read in _NOTHING):
        raise BuildFailed(step=name, why="should hold a list called dependencies")
    return list(dependencies) if isinstance(dependencies, list) else []


def _channels(name: str, read: object) -> tuple[str, ...]:
    channels = _value(read, "channels") or []
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise BuildFailed(step=name, why="its channels should be a list of names or addresses")
    return tuple(str(channel).strip() for channel in channels)


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
    return PythonWanted(name, ",".join(map(_specifier, spec.replace(" ", "").split(","))))


def _specifier(part: str) -> str:
    """Return a part of a conda version as Python spells it: `=3.11` and `3.11` mean every 3.11, and `>=3.10.*` means `>=3.10`."""
    match = re.fullmatch(r"(=?)([\d.]+?)(?:\.?\*)?", part)
    if match:
        return f"=={match[2]}.*"
    return re.sub(r"\.?\*$", "", part) if part.startswith((">", "<", "~")) else part


def _pip_spec(spec: str) -> str:
    """Return the pip form of a conda version: conda's `=4.1` means 4.1 and every version below it, such as 4.1.2."""
    if spec[0] in "<>!~" or spec.startswith("=="):
        return spec
    version = spec.lstrip("=").split("=")[0].strip().removesuffix("*").removesuffix(".")
    return f"=={version}.*"
