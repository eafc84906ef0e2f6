"""Finished environments for the session launcher: their paths, and locks that keep them while they are in use."""

import fcntl
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from bindery_builder.process.files import locked
from bindery_builder.task import Manifest

_PREFIX = "uv/"
HANDLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,150}")


@dataclass(frozen=True)
class BuiltEnvironment:
    """Finished environment.

    python: the interpreter with all packages. content, home: as postBuild left them, if a session needs them (to copy, not to use
    in place). start: the `start` script's path, relative to a working copy. ref: the commit that the image was built from. variables: set
    for each session by the packages.
    """

    python: Path
    content: Path | None
    home: Path | None
    start: Path | None
    ref: str
    variables: Mapping[str, str] = field(default_factory=dict)


class Hold:
    """Lock that prevents the eviction of an environment until `close`, or until every process with the inherited `descriptor` has
    ended.
    """

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
    """Return the image name of a finished attempt."""
    return _PREFIX + handle


def environment_of(home: Path, image: str) -> BuiltEnvironment | None:
    """Return a finished environment, or None. Without a hold it may be evicted at any time."""
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
    keeps_content = manifest.keeps_content
    return BuiltEnvironment(
        python=python,
        content=folder / "content" if keeps_content else None,
        home=folder / "home" if keeps_content else None,
        start=Path(manifest.start) if manifest.start else None,
        ref=manifest.ref,
        variables=manifest.variables,
    )


def hold(home: Path, image: str) -> Hold | None:
    """Take a shared lock on a finished environment. Return None if it does not exist (any more).

    Waits while the environment is being removed. Pass `descriptor` to the session's process (`pass_fds`): the lock then lasts as
    long as that process.
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
