"""Reader of `Pipfile.lock`, or of `Pipfile` without a lock. Both hold tables of the same shape."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from bindery.domain.errors import BuildFailed
from bindery_builder.environments.python_version import PythonWanted, Requirements, python_of
from bindery_builder.process.scripts import ConfigurationFiles


def read_pipfile(files: ConfigurationFiles, file: Path) -> tuple[PythonWanted | None, Requirements]:
    """Return the Python version and the requirements, including development packages, as Binder does.

    Raises BuildFailed if the file is not valid.
    """
    try:
        return _read(files, file)
    except (ValueError, RecursionError):  # a valid file may be nested too deeply to be printed
        raise BuildFailed(step=files.name(file), why="cannot be read: it is not as pipenv writes it") from None


def _read(files: ConfigurationFiles, file: Path) -> tuple[PythonWanted | None, Requirements]:
    name = files.name(file)
    if file.name == "Pipfile.lock":
        read: object = json.loads(files.text(file))
        top = _table(name, read)
        parts, requires = ("default", "develop"), _table(name, _table(name, top.get("_meta", {})).get("requires", {}))
    else:
        top = _table(name, tomllib.loads(files.text(file)))
        parts, requires = ("packages", "dev-packages"), _table(name, top.get("requires", {}))
    lines = {
        package: _requirement(name, package, spec)
        for part in parts
        for package, spec in _table(name, top.get(part, {})).items()
    }
    version = re.match(r"\d+(\.\d+)*", str(requires.get("python_full_version") or requires.get("python_version") or ""))
    text = "".join(f"{line}\n" for line in lines.values())
    return python_of(name, version[0]) if version else None, Requirements(name, file.parent, text)


def _table(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise BuildFailed(step=name, why="cannot be read: it is not as pipenv writes it")
    return value


def _requirement(name: str, package: str, spec: object) -> str:
    """Return a requirement line: `{"version": "==2.31", "extras": ["socks"], "markers": "..."}` -> `requests[socks]==2.31 ; ...`."""
    details = {"version": spec} if isinstance(spec, str) else _table(name, spec)
    extras = details.get("extras")
    requirement = package + (f"[{','.join(map(str, extras))}]" if isinstance(extras, list) and extras else "")
    line = _located(requirement, details) or requirement + str(details.get("version", "*")).replace("*", "", 1)
    if str(details.get("version", "")).endswith(".*"):
        line = requirement + str(details["version"])
    line += f" ; {details['markers']}" if details.get("markers") else ""
    if "\n" in line or (line.startswith("-") and not line.startswith("-e ./")):
        raise BuildFailed(step=name, why=f"{package[:60]!r} cannot be understood")
    return line


def _located(requirement: str, details: Mapping[str, object]) -> str:
    if git := details.get("git"):
        ref = details.get("ref")
        return f"{requirement} @ git+{str(git).removeprefix('git+')}" + (f"@{ref}" if ref else "")
    if path := details.get("path"):
        return ("-e " if details.get("editable") else "") + f"./{path}"
    address = details.get("file") or details.get("url")
    return f"{requirement} @ {address}" if address else ""
