"""Packs of commits already fetched, kept on this machine: one folder per repository and commit."""

import fcntl
import mmap
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final
from uuid import uuid4

from dulwich.object_format import SHA1
from dulwich.pack import PackData

from bindery.adapters.repositories.packs import BROKEN, BrokenPack, PackLimits, measure

PACK, INDEX = "objects.pack", "objects.idx"
ASIDE: Final = ".aside-"
STRIPES: Final = 64
FORGOTTEN_SECONDS: Final = 3600.0


class ObjectCache:
    """A folder of packs, each made beside and renamed into place: what is there is whole, whoever crashed.

    Safe for threads and processes; threads of one process fetch a commit once. What is being read is not evicted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks = [Lock() for _ in range(STRIPES)]

    @contextmanager
    def entry(self, url: str, commit: str, fetch: Callable[[Path], None], limits: PackLimits) -> Iterator[Path]:
        """The folder with this commit's pack and index, not evicted meanwhile; `fetch` writes the pack's bytes to a path.

        Raises BrokenPack, TooMuch, and what `fetch` raises.
        """
        name = sha256(url.encode()).hexdigest()[:32]
        place = self._folder / name / commit
        held = _held(place)
        while held is None:
            with self._locks[hash((name, commit)) % STRIPES]:
                held = _held(place) or _made(place, fetch, limits)
        try:
            os.utime(place)
            yield place
        finally:
            held.close()

    def drop(self, place: Path) -> None:
        """Forgets an entry."""
        gone = place.with_name(f"{ASIDE}{uuid4().hex}")
        with suppress(OSError):
            place.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def evict(self, max_bytes: int) -> int:
        """Forgets the least recently used entries until at most `max_bytes` are kept, and what crashes left; answers the bytes kept."""
        kept: list[tuple[float, int, Path]] = []
        for place in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):
                used = place.stat().st_mtime
                if not place.name.startswith(ASIDE):
                    kept.append((used, sum(file.stat().st_size for file in place.iterdir()), place))
                elif used < time.time() - FORGOTTEN_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)
        total = sum(size for _, size, _ in kept)
        for _, size, place in sorted(kept):
            if total <= max_bytes:
                break
            if self._evicted(place):
                total -= size
        return total

    def _evicted(self, place: Path) -> bool:
        try:
            with (place / PACK).open("rb") as pack:
                fcntl.flock(pack, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.drop(place)
        except FileNotFoundError:
            return True
        except BlockingIOError:  # somebody reads it
            return False
        return True


def _held(place: Path) -> BinaryIO | None:
    """The entry's pack, open and held against eviction; None if there is no entry (any more)."""
    try:
        pack = (place / PACK).open("rb")
    except FileNotFoundError:
        return None
    fcntl.flock(pack, fcntl.LOCK_SH)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(pack.fileno()), (place / PACK).stat()):
            return pack
    pack.close()
    return None


def _made(place: Path, fetch: Callable[[Path], None], limits: PackLimits) -> BinaryIO | None:
    """The same for an entry made just now; None if another process was faster, with the same content."""
    aside = place.with_name(f"{ASIDE}{uuid4().hex}")
    aside.mkdir(parents=True)
    try:
        fetch(aside / PACK)
        _measure(aside / PACK, limits)
        _index(aside)
        pack = (aside / PACK).open("rb")
        fcntl.flock(pack, fcntl.LOCK_SH)  # held before anybody can see it
        try:
            aside.rename(place)
        except OSError:
            pack.close()
            return None
        return pack
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _measure(pack: Path, limits: PackLimits) -> None:
    with pack.open("rb") as file:
        if os.fstat(file.fileno()).st_size < 32:
            raise BrokenPack("cut short")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as content:
            measure(content, limits)


def _index(folder: Path) -> None:
    try:
        with PackData(folder / PACK, SHA1) as data:
            data.check()
            data.create_index_v2(str(folder / INDEX))
    except BROKEN as error:
        raise BrokenPack("its objects cannot be read") from error
