"""Finished environments as the session launcher sees them: where they are, and how to keep one while it is used."""

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from bindery_builder.process.files import locked
from bindery_builder.task import Manifest

_PREFIX = "uv/"
HANDLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,150}")


@dataclass(frozen=True)
class BuiltEnvironment:
    """python: the interpreter that has everything. content, home: as postBuild left them, if a session needs them (copy, do not use).

    start: the `start` script's path, relative to a working copy. ref: the commit that the image was built from.
    """

    python: Path
    content: Path | None
    home: Path | None
    start: Path | None
    ref: str


class Hold:
    """Keeps an environment from being evicted until `close`, or until every process that inherited `descriptor` is gone."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def image_of(handle: str) -> str:
    """The image name of a finished attempt."""
    return _PREFIX + handle


def environment_of(home: Path, image: str) -> BuiltEnvironment | None:
    """A finished environment, or None. Without a hold it may be evicted at any moment."""
    handle = image.removeprefix(_PREFIX)
    if not image.startswith(_PREFIX) or not HANDLE.fullmatch(handle):
        return None
    try:
        manifest = Manifest.model_validate_json((home / "environments" / f"{handle}.json").read_bytes())
    except (OSError, ValidationError):
        return None
    folder = home / "store" / handle
    python = folder / "venv" / "bin" / "python"
    if not python.exists():  # its base interpreter may have been removed
        return None
    kept = manifest.keeps_content
    return BuiltEnvironment(
        python=python,
        content=folder / "content" if kept else None,
        home=folder / "home" if kept else None,
        start=Path(manifest.start) if manifest.start else None,
        ref=manifest.ref,
    )


def hold(home: Path, image: str) -> Hold | None:
    """A shared lock on a finished environment; None if there is none (any more). Waits while it is being removed.

    Pass `descriptor` on to the session's process (`pass_fds`), and the hold lasts as long as that process does.
    """
    if environment_of(home, image) is None:
        return None
    descriptor = locked(home / "environments" / f"{image.removeprefix(_PREFIX)}.lock", fcntl.LOCK_SH)
    if descriptor is None:
        return None
    if environment_of(home, image) is None:
        os.close(descriptor)
        return None
    return Hold(descriptor)
