"""Cache of fetched packs on this machine, one folder per repository and commit, and the reader of their objects."""

import errno
import fcntl
import mmap
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Condition, Lock
from typing import BinaryIO, Final
from uuid import uuid4

from dulwich.object_format import SHA1
from dulwich.objects import ObjectID
from dulwich.pack import Pack, PackData, PackFileDisappeared

from bindery.adapters.git.object_ids import object_id
from bindery.adapters.git.packs import BLOB, BROKEN, COMMIT, TREE, BrokenPack, PackLimits, measure
from bindery.adapters.http.budget import MB, SLICE_SECONDS
from bindery_builder.contents.work_tree import Read

PACK, INDEX = "objects.pack", "objects.idx"
ASIDE: Final = ".aside-"
LARGEST: Final = "largest"
"""File with the size of the pack's largest object in bytes."""
LARGE_BYTES: Final = 20 * MB
KINDS: Final = {BLOB: b"blob", COMMIT: b"commit", TREE: b"tree"}
FORGOTTEN_SECONDS: Final = 3600.0


class ObjectCache:
    """Folder of packs.

    Each entry is written to a temporary folder and renamed into place, so an entry is complete even after a crash. Safe for threads
    and processes; threads of one process fetch a commit once. An entry that is being read is not evicted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = Condition()
        self._making: set[Path] = set()
        self._large = Lock()

    @contextmanager
    def entry(self, url: str, name: str, make: Callable[[Path], None], check: Callable[[], None]) -> Iterator[Path]:
        """Yield the folder of this name, such as a commit's id. It is not evicted meanwhile.

        make: fills a new folder, at least with PACK. check: called repeatedly, for example while another thread fetches the same
        entry. Raises the errors of `make` and `check`.
        """
        place = self.place(url, name)
        pack = _held(place)
        while pack is None:
            with self._maker(place, check):
                pack = _held(place) or self._make_entry(place, make)
        try:
            os.utime(place)
            yield place
        finally:
            pack.close()

    def place(self, url: str, name: str) -> Path:
        """Return the folder of an entry, which need not exist."""
        return self._folder / sha256(url.encode()).hexdigest()[:32] / name

    def index(self, folder: Path, limits: PackLimits, check: Callable[[], None]) -> None:
        """Measure and index the pack in a new folder. Raises BrokenPack, TooMuch, and the errors of `check`."""
        largest = measured(folder / PACK, limits, check)
        (folder / LARGEST).write_text(str(largest), encoding="ascii")
        with self.memory_for(folder, check):
            index_pack(folder, check)

    @contextmanager
    def memory_for(self, place: Path, check: Callable[[], None]) -> Iterator[None]:
        """Hold the memory lock while an entry's objects are read, if one of them is large.

        Large objects are held in memory as a whole, so such entries are read one at a time.
        """
        try:
            large = int((place / LARGEST).read_text(encoding="ascii")) > LARGE_BYTES
        except (FileNotFoundError, ValueError):
            large = True
        if not large:
            yield
            return
        while not self._large.acquire(timeout=SLICE_SECONDS):
            check()
        try:
            yield
        finally:
            self._large.release()

    @contextmanager
    def _maker(self, place: Path, check: Callable[[], None]) -> Iterator[None]:
        with self._changed:
            while place in self._making:
                check()
                self._changed.wait(SLICE_SECONDS)
            self._making.add(place)
        try:
            yield
        finally:
            with self._changed:
                self._making.discard(place)
                self._changed.notify_all()

    def _make_entry(self, place: Path, make: Callable[[Path], None]) -> BinaryIO | None:
        """Make a new entry. Return its pack, open and locked, or None if another process was faster with the same content."""
        aside = place.with_name(f"{ASIDE}{uuid4().hex}")
        aside.mkdir(parents=True)
        try:
            make(aside)
            pack = (aside / PACK).open("rb")
            fcntl.flock(pack, fcntl.LOCK_SH)  # locked before it becomes visible
            try:
                aside.rename(place)
            except OSError as error:
                pack.close()
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # an error of the disk
                    raise
                return None
            return pack
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def recover(self) -> None:
        """Remove temporary folders that a crash left. Call it only while no process fetches into this folder."""
        for aside in self._folder.glob(f"*/{ASIDE}*"):
            shutil.rmtree(aside, ignore_errors=True)

    def drop(self, place: Path) -> None:
        """Remove an entry."""
        gone = place.with_name(f"{ASIDE}{uuid4().hex}")
        with suppress(OSError):
            place.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most `max_bytes` are left. Return the bytes left.

        Removes old temporary folders of crashed fetches, too.
        """
        entries: list[tuple[float, int, Path]] = []
        for place in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):
                used = place.stat().st_mtime
                if not place.name.startswith(ASIDE):
                    entries.append((used, sum(file.stat().st_size for file in place.iterdir()), place))
                elif used < time.time() - FORGOTTEN_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)
        total = sum(size for _, size, _ in entries)
        for _, size, place in sorted(entries):
            if total <= max_bytes:
                break
            if self.forget(place):
                total -= size
        return total

    def forget(self, place: Path) -> bool:
        """Remove an entry unless it is being read. Return True if it is gone."""
        try:
            with (place / PACK).open("rb") as pack:
                fcntl.flock(pack, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.drop(place)
        except FileNotFoundError:
            return True
        except BlockingIOError:  # it is being read
            return False
        return True


def _held(place: Path) -> BinaryIO | None:
    """Return the entry's pack, open and locked against eviction, or None if there is no entry (any more)."""
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


def measured(pack: Path, limits: PackLimits, check: Callable[[], None]) -> int:
    """Return the bytes of the pack's largest object. Raises BrokenPack, TooMuch, and the errors of `check`."""
    with pack.open("rb") as file:
        if os.fstat(file.fileno()).st_size < 32:
            raise BrokenPack("cut short")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as content:
            return measure(content, limits, check)


def index_pack(folder: Path, check: Callable[[], None]) -> None:
    """Write the index of the pack in `folder`. Raises BrokenPack, and the errors of `check`."""
    try:
        with PackData(folder / PACK, SHA1) as data:
            data.check()
            data.create_index_v2(str(folder / INDEX), progress=lambda _done, _all: check())
    except BROKEN as error:
        raise BrokenPack("its objects cannot be read") from error


@contextmanager
def objects_in(pack: Path, check: Callable[[], None]) -> Iterator[Read]:
    """Yield a reader for the objects of a pack and its index. It verifies each object against its id.

    Thus the files that are written are those of the commit's id.
    """
    with Pack(str(pack).removesuffix(".pack"), object_format=SHA1) as opened:

        def read(kind: bytes, requested_id: bytes) -> bytes:
            check()
            try:
                number, content = opened.get_raw(ObjectID(requested_id))
            except (*BROKEN, PackFileDisappeared) as error:
                raise BrokenPack("an object is missing") from error
            if KINDS.get(number) != kind or object_id(kind, content) != requested_id:
                raise BrokenPack("an object is not what it should be")
            return content

        yield read
