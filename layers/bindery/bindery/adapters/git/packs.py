"""Reader of packs from untrusted servers: measured before they are unpacked, and every object checked against its id."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha1
from io import BytesIO

from dulwich.errors import ApplyDeltaError, ChecksumMismatch, ObjectFormatException
from dulwich.object_format import SHA1
from dulwich.objects import ShaFile, parse_tree
from dulwich.pack import PackData, PackInflater, UnresolvedDeltas

from bindery.adapters.git.object_ids import object_id
from bindery.adapters.http.budget import readable_size

BLOB, TREE, COMMIT, TAG, OFS_DELTA, REF_DELTA = 3, 2, 1, 4, 6, 7
BROKEN = (
    ApplyDeltaError,
    AssertionError,
    ChecksumMismatch,
    EOFError,
    LookupError,
    ObjectFormatException,
    OverflowError,
    TypeError,
    UnresolvedDeltas,
    ValueError,
    zlib.error,
)
"""Errors that dulwich raises for invalid packs and objects."""


WIDEST = 63  # bits of a size or an offset: the time to read a number grows with the square of its length


class BrokenPack(Exception):  # caught and turned into a fact by the caller
    """Error for data that is not a pack, is cut short, or lacks the objects that it should have."""


class TooMuch(Exception):  # as above
    """Error for a pack over a limit.

    limit: that limit, in words. blob: the id of the one file that is over the limit, if it could be computed.
    """

    def __init__(self, limit: str, blob: bytes = b"", *, one_file: bool = False) -> None:
        super().__init__(limit)
        self.limit = limit
        self.blob = blob
        self.one_file = one_file


@dataclass(frozen=True)
class PackLimits:
    """Limits of a pack. objects: number of objects. object_bytes, total_bytes: unpacked."""

    objects: int
    object_bytes: int
    total_bytes: int


def measure(pack: bytes | memoryview, limits: PackLimits, check: Callable[[], None] = lambda: None) -> int:
    """Return the bytes of the largest object. Raises TooMuch, BrokenPack.

    Unpacks in small pieces and discards them, so that false sizes in a pack cannot fill the memory. check: called repeatedly; may raise.
    """
    try:
        at, total, largest = 12, 0, 0
        for _ in range(check_count(pack, limits)):
            check()
            size, at = _measure_object(pack, at, limits, check)
            total += size
            largest = max(largest, size)
            if total > limits.total_bytes:
                raise TooMuch(readable_size(limits.total_bytes))
    except BROKEN as error:
        raise BrokenPack("cut short or not a pack") from error
    return largest


def check_count(pack: bytes | memoryview, limits: PackLimits) -> int:
    """Return the number of objects in the header of a pack. Raises BrokenPack, TooMuch."""
    if bytes(pack[:8]) not in {b"PACK\0\0\0\2", b"PACK\0\0\0\3"}:
        raise BrokenPack("not a pack")
    count = int.from_bytes(pack[8:12], "big")
    if count > limits.objects:
        raise TooMuch(f"{limits.objects} files and folders")
    return count


def object_header(pack: bytes | memoryview, at: int) -> tuple[int, int, int]:
    """Return the type and the size in the header of the object at `at`, and the header's end. Raises BrokenPack."""
    first = pack[at]
    kind, size, shift = first >> 4 & 7, first & 15, 4
    while pack[at] & 0x80:
        at += 1
        size |= (pack[at] & 0x7F) << shift
        shift += 7
        if shift > WIDEST:
            raise BrokenPack("an object's size is no number")
    return kind, size, at + 1


def inflated(pack: bytes | memoryview, at: int, size: int) -> tuple[bytes, int]:
    """Return the content of a small compressed object, and its end. Raises BrokenPack unless it has `size` bytes."""
    pieces: list[bytes] = []
    _, end = _inflate(pack, at, size, pieces.append)
    return b"".join(pieces), end


def _measure_object(
    pack: bytes | memoryview, at: int, limits: PackLimits, check: Callable[[], None]
) -> tuple[int, int]:
    """Return the unpacked size of an object, and the offset of the next object.

    For a delta, the size is that of its result, if it is larger.
    """
    kind, size, at = object_header(pack, at)
    if kind == OFS_DELTA:
        begin = at
        while pack[at] & 0x80:
            at += 1
            if at - begin > WIDEST // 7:
                raise BrokenPack("an object's base is no number")
        at += 1
    elif kind == REF_DELTA:
        at += 20
    most = limits.object_bytes
    if size > most:
        can_hash = kind == BLOB and size <= limits.total_bytes
        raise TooMuch(readable_size(most), _blob_id(pack, at, size, check) if can_hash else b"", one_file=True)
    head, at = _inflate(pack, at, size)
    if kind in {OFS_DELTA, REF_DELTA}:
        _, rest = _varint(head, 0)
        result, _ = _varint(head, rest)
        if result > most:
            raise TooMuch(readable_size(most), one_file=True)
        size = max(size, result)
    return size, at


def _blob_id(pack: bytes | memoryview, at: int, size: int, check: Callable[[], None]) -> bytes:
    """Return the id of a compressed blob of `size` bytes, unpacked in small pieces. Raises BrokenPack."""
    hashed = sha1(b"blob %d\0" % size, usedforsecurity=False)

    def take(piece: bytes) -> None:
        check()
        hashed.update(piece)

    _inflate(pack, at, size, take)
    return hashed.hexdigest().encode()


def _inflate(
    pack: bytes | memoryview, at: int, size: int, take: Callable[[bytes], None] = lambda _: None
) -> tuple[bytes, int]:
    """Return the first bytes of a compressed object, and its end. Raises BrokenPack unless it has exactly `size` bytes.

    take: called with each unpacked piece.
    """
    inflate, head, done = zlib.decompressobj(), b"", 0
    pending = b""
    while not inflate.eof:
        if not pending:
            pending = bytes(pack[at : at + 65536])
            at += len(pending)
            if not pending:
                raise BrokenPack("cut short")
        piece = inflate.decompress(pending, 65536)
        pending = inflate.unconsumed_tail
        take(piece)
        head = head or piece[:40]
        done += len(piece)
        if done > size:
            raise BrokenPack("an object is larger than it says")
    if done != size:
        raise BrokenPack("an object is smaller than it says")
    return head, at - len(inflate.unused_data)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def unpacked(pack: bytes, limits: PackLimits) -> dict[bytes, tuple[int, bytes]]:
    """Return a small pack's objects by id: type and content. Raises TooMuch, BrokenPack.

    The ids are computed from the content, so they are correct.
    """
    measure(pack, limits)
    try:
        with PackData.from_file(BytesIO(pack), SHA1, len(pack)) as data:
            return {_id(item): (item.type_num, item.as_raw_string()) for item in PackInflater.for_pack_data(data)}
    except BROKEN as error:
        raise BrokenPack("its objects cannot be read") from error


def _id(item: ShaFile) -> bytes:
    return object_id(item.type_name, item.as_raw_string())


def tree_of(commit: bytes) -> bytes:
    """Return the root tree's id from a commit's content. Raises BrokenPack."""
    if not commit.startswith(b"tree ") or commit[45:46] != b"\n":
        raise BrokenPack("a commit names no tree")
    return commit[5:45]


def tree_entries(content: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield the name, mode and id of each entry in a tree's content. Raises BrokenPack."""
    try:
        yield from parse_tree(content, 20)
    except BROKEN as error:
        raise BrokenPack("a tree cannot be read") from error
