"""Layer `Library`: the package `bindery` with its dependencies in the locked versions."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from infra.packages.byte_code import compile_folder
from infra.packages.left_out import (
    AWS_SERVICES,
    DISTRIBUTION_FACTS,
    UNUSED_FILES,
    UNUSED_REQUIREMENTS,
)
from infra.packages.locked import ROOT, install

WANTED = ["--no-default-groups", *(word for name in UNUSED_REQUIREMENTS for word in ("--prune", name))]
"""uv's options that select the library's packages from the lock file."""


def make(folder: Path, uv: str, architecture: str) -> None:
    """Fill a layer's folder. uv: the command. architecture: a key of PLATFORMS.

    Raises CalledProcessError, and ValueError if a part to leave out does not exist.
    """
    target = folder / "python"
    install(target, uv, WANTED, architecture)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "layers" / "bindery" / "bindery", target / "bindery", ignore=ignored, dirs_exist_ok=True)
    _remove(target, UNUSED_FILES)
    _keep_services(target / "botocore" / "data")
    for facts in target.glob("*.dist-info"):
        _keep(facts, DISTRIBUTION_FACTS)
    compile_folder(target, "/opt/python")


def _remove(folder: Path, patterns: Iterable[str]) -> None:
    """Remove the files that match the patterns. Raises ValueError for a pattern without a match: it is outdated."""
    for pattern in patterns:
        paths = list(folder.glob(pattern))
        if not paths:
            raise ValueError(f"{pattern} is to be left out, but is not there")
        for path in paths:
            _delete(path)


def _keep_services(data: Path) -> None:
    """Remove the folders of services that the adapters do not use. Files beside them are for all services."""
    for path in data.iterdir():
        if path.is_dir() and path.name not in AWS_SERVICES:
            _delete(path)


def _keep(folder: Path, patterns: Iterable[str]) -> None:
    matches = {path for pattern in patterns for path in folder.glob(pattern)}
    for path in set(folder.iterdir()) - matches:
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
