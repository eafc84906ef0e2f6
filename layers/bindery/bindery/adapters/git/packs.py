"""Reading packs that a stranger sent: measured before anything is unpacked, and every object checked against its id."""

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
from bindery.adapters.http.budget import in_words

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
"""What dulwich raises for packs and objects that are not as they should be."""


WIDEST = 63  # bits of a size or an offset: reading longer ones takes time that grows with the square


class BrokenPack(Exception):  # caught and turned into a fact by whoever asked
    """Not a pack, cut short, or not with the objects it should have."""


class TooMuch(Exception):  # as above
    """A pack is over a limit. limit: that limit, in words. blob: the id of the file that is over it alone, if it could be told."""

    def __init__(self, limit: str, blob: bytes = b"", *, one_file: bool = False) -> None:
        super().__init__(limit)
        self.limit = limit
        self.blob = blob
        self.one_file = one_file


@dataclass(frozen=True)
class PackLimits:
    """objects: how many. object_bytes, total_bytes: unpacked."""

    objects: int
    object_bytes: int
    total_bytes: int


def measure(pack: bytes | memoryview, limits: PackLimits, check: Callable[[], None] = lambda: None) -> int:
    """The largest object's bytes; or TooMuch, BrokenPack.

    Unpacks in small pieces and keeps none, so that no claim of a pack can fill the memory. check: called again and again; may raise.
    """
    try:
        at, total, largest = 12, 0, 0
        for _ in range(check_count(pack, limits)):
            check()
            size, at = _measure_object(pack, at, limits, check)
            total += size
            largest = max(largest, size)
            if total > limits.total_bytes:
                raise TooMuch(in_words(limits.total_bytes))
    except BROKEN as error:
        raise BrokenPack("cut short or not a pack") from error
    return largest


def check_count(pack: bytes | memoryview, limits: PackLimits) -> int:
    """Return how many objects a pack says that it has. Raises BrokenPack, TooMuch."""
    if bytes(pack[:8]) not in {b"PACK\0\0\0\2", b"PACK\0\0\0\3"}:
        raise BrokenPack("not a pack")
    count = int.from_bytes(pack[8:12], "big")
    if count > limits.objects:
        raise TooMuch(f"{limits.objects} files and folders")
    return count


def object_header(pack: bytes | memoryview, at: int) -> tuple[int, int, int]:
    """Return the type and the size that the object at `at` says it has, and where the rest of it begins. Raises BrokenPack."""
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
    """Return the content of a small compressed object, and where it ends. Raises BrokenPack unless it has `size` bytes."""
    pieces: list[bytes] = []
    _, end = _inflate(pack, at, size, pieces.append)
    return b"".join(pieces), end


def _measure_object(
    pack: bytes | memoryview, at: int, limits: PackLimits, check: Callable[[], None]
) -> tuple[int, int]:
    """One object's size once unpacked (a delta's result, where it is larger), and where the next one begins."""
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
        known = kind == BLOB and size <= limits.total_bytes
        raise TooMuch(in_words(most), _blob_id(pack, at, size, check) if known else b"", one_file=True)
    head, at = _inflate(pack, at, size)
    if kind in {OFS_DELTA, REF_DELTA}:
        _, rest = _varint(head, 0)
        result, _ = _varint(head, rest)
        if result > most:
            raise TooMuch(in_words(most), one_file=True)
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
    """The first bytes of a compressed object, and where it ends; BrokenPack unless it has exactly `size` bytes.

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
    """A small pack's objects by id: type and content. Ids are computed from the content, so they cannot lie."""
    measure(pack, limits)
    try:
        with PackData.from_file(BytesIO(pack), SHA1, len(pack)) as data:
            return {_id(found): (found.type_num, found.as_raw_string()) for found in PackInflater.for_pack_data(data)}
    except BROKEN as error:
        raise BrokenPack("its objects cannot be read") from error


def _id(found: ShaFile) -> bytes:
    return object_id(found.type_name, found.as_raw_string())


def tree_of(commit: bytes) -> bytes:
    """The root tree's id, from a commit's content."""
    if not commit.startswith(b"tree ") or commit[45:46] != b"\n":
        raise BrokenPack("a commit names no tree")
    return commit[5:45]


def tree_entries(content: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """name, mode and id of each entry of a tree's content."""
    try:
        yield from parse_tree(content, 20)
    except BROKEN as error:
        raise BrokenPack("a tree cannot be read") from error
