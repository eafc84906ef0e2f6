"""Index of a pack that holds only commits and tags. It is written in one pass, since histories have many small objects."""

import mmap
import zlib
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path
from typing import Final

from dulwich.pack import write_pack_index_v2

from bindery.adapters.git.packs import (
    BROKEN,
    COMMIT,
    TAG,
    BrokenPack,
    PackLimits,
    TooMuch,
    check_count,
    inflated,
    object_header,
)
from bindery.adapters.http.budget import readable_size
from bindery_builder.contents.pack_cache import INDEX, PACK, index_pack, measured

CHECKSUM_BYTES: Final = 20
NAMES: Final = {COMMIT: b"commit", TAG: b"tag"}
Entry = tuple[bytes, int, int]
"""Object id, offset and CRC."""


def index_history(folder: Path, limits: PackLimits, check: Callable[[], None]) -> None:
    """Write the index of the pack in `folder`. The pack is checked against `limits` before it is unpacked.

    check: called for each object; may raise. Raises BrokenPack, TooMuch.
    """
    pack = folder / PACK
    if pack.stat().st_size < 12 + CHECKSUM_BYTES:
        raise BrokenPack("cut short")
    with (
        pack.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        entries = _entries(content, limits, check)
        checksum = bytes(content[-CHECKSUM_BYTES:])
        if entries is not None and sha1(content[:-CHECKSUM_BYTES], usedforsecurity=False).digest() != checksum:
            raise BrokenPack("its checksum is wrong")
    if entries is None:
        measured(pack, limits, check)
        index_pack(folder, check)
        return
    with (folder / INDEX).open("xb") as index:
        write_pack_index_v2(index, sorted(entries), checksum)


def _entries(pack: memoryview, limits: PackLimits, check: Callable[[], None]) -> list[Entry] | None:
    """Return the entries of the index, or None if the pack has deltas, which need more than one pass."""
    entries: list[Entry] = []
    total, at = 0, 12
    try:
        for _ in range(check_count(pack, limits)):
            check()
            begin = at
            kind, size, at = object_header(pack, at)
            if kind not in NAMES:
                return None
            total += size
            if size > limits.object_bytes or total > limits.total_bytes:
                raise TooMuch(readable_size(limits.total_bytes))
            content, at = inflated(pack, at, size)
            name = sha1(NAMES[kind] + b" %d\0" % size + content, usedforsecurity=False).digest()
            entries.append((name, begin, zlib.crc32(pack[begin:at])))
    except BROKEN as error:
        raise BrokenPack("cut short or not a pack") from error
    if at != len(pack) - CHECKSUM_BYTES:
        raise BrokenPack("it is longer than its objects")
    return entries
