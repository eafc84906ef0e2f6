"""Files that are made a single time and kept outside the checkout."""

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
    """Return the place of the result of this recipe. The result is there only if it was made already."""
    return cache() / f"{name}-{hashlib.sha256(b'|'.join(recipe)).hexdigest()[:12]}"


def made(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder; make it first if it is missing.

    It is made beside its final place, so a half-made folder never counts. Only one process makes it.
    """
    if folder.is_dir():
        return folder
    with alone(folder.name):
        for leftover in folder.parent.glob(f"{folder.name}.making-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if not folder.is_dir():
            making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.making-"))
            make(making)
            making.rename(folder)
    return folder


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let only one process of this machine at a time run the block."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
