"""The layer `Library`: the package `bindery`, and what it needs in the locked versions."""

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
"""uv's words for what the library needs of the lock file."""


def make(folder: Path, uv: str, architecture: str) -> None:
    """Fills a layer's folder. uv: the command. architecture: a key of PLATFORMS.

    Raises CalledProcessError, ValueError if something to leave out is not there.
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
    """A pattern that nothing matches is no longer true."""
    for pattern in patterns:
        found = list(folder.glob(pattern))
        if not found:
            raise ValueError(f"{pattern} is to be left out, but is not there")
        for path in found:
            _delete(path)


def _keep_services(data: Path) -> None:
    """Files beside the services' folders are for all of them."""
    for path in data.iterdir():
        if path.is_dir() and path.name not in AWS_SERVICES:
            _delete(path)


def _keep(folder: Path, patterns: Iterable[str]) -> None:
    kept = {path for pattern in patterns for path in folder.glob(pattern)}
    for path in set(folder.iterdir()) - kept:
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
