"""What is made once and kept outside the checkout."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bindery-test-cluster"


def place_of(name: str, recipe: Iterable[bytes]) -> Path:
    """Where what was made by this recipe is, if it is there."""
    return cache() / f"{name}-{hashlib.sha256(b'|'.join(recipe)).hexdigest()[:12]}"


def made(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder; if it is not there, made beside it first: a half-made one never counts, and only one process makes it."""
    if folder.is_dir():
        return folder
    with alone(folder.name):
        for left in folder.parent.glob(f"{folder.name}.making-*"):
            shutil.rmtree(left, ignore_errors=True)
        if not folder.is_dir():
            making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.making-"))
            make(making)
            making.rename(folder)
    return folder


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process of this machine at a time."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
