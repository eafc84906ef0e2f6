"""Unpacker of a record's single archive. Untrusted archives cannot write outside the folder or exceed the memory and disk limits."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Final

from bindery.adapters.git.refs import shown
from bindery.adapters.http.budget import readable_size
from bindery.adapters.http.client import DISK_ERRORS
from bindery.domain.errors import RepositoryTooLarge, RepositoryUnusable
from bindery_builder.contents.record_folder import RecordFolder
from bindery_builder.contents.work_tree import Room

ZIP, TAR = (".zip",), (".tar",)
GZIP, BZIP2, XZ = (".tar.gz", ".tgz"), (".tar.bz2", ".tbz2", ".tbz"), (".tar.xz", ".txz")
PIECE: Final = 1 << 16
LONGEST_TARGET: Final = 4096
MOST_XZ_MEMORY: Final = 128 << 20
MOST_DIRECTORY: Final = 64 << 20
"""Bytes of a zip file's central directory, which is read into memory as a whole."""
MOST_HEADER: Final = 16 << 10
"""Bytes before a tar file's next entry: they are read into memory, and parsing them is slow."""
ENTRY: Final = b"PK\x01\x02"
BROKEN: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError, OSError),
    *(ValueError, NotImplementedError, RuntimeError, OverflowError),
)

Check = Callable[[], None]


def is_archive(name: str) -> bool:
    """Return True if the file's name has the extension of a supported archive format."""
    return name.lower().endswith((*ZIP, *TAR, *GZIP, *BZIP2, *XZ))


def unpack(archive: Path, name: str, folder: RecordFolder, room: Room, check: Check) -> None:
    """Unpack the archive, known as `name`, into `folder`. check: called repeatedly; may raise.

    Raises RepositoryUnusable, RepositoryTooLarge, and OSError for a full disk.
    """
    try:
        if name.lower().endswith(ZIP):
            _unzip(archive, folder, room, check)
        else:
            _untar(_plain(archive, name.lower(), room, check), folder, check)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise RepositoryUnusable(why=f"its archive {shown(name)} cannot be unpacked: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, _Refused):
        return str(error)
    return "it ends too early" if isinstance(error, EOFError) else "it is broken, or of another kind than its name says"


class _Refused(ValueError):
    """Archive content that is refused. The message is shown to people."""


class _Directory(io.FileIO):
    """Zip file that checks its list of entries before zipfile keeps the list in memory."""

    def __init__(self, path: Path, room: Room) -> None:
        super().__init__(path)
        self._room = room

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_DIRECTORY:
            raise RepositoryTooLarge(url=self._room.url, limit=f"{self._room.max_files} files")
        data = super().read(MOST_DIRECTORY if size is None or size < 0 else size) or b""
        if data.count(ENTRY) > self._room.max_files:
            raise RepositoryTooLarge(url=self._room.url, limit=f"{self._room.max_files} files")
        return data


def _unzip(archive: Path, folder: RecordFolder, room: Room, check: Check) -> None:
    with _Directory(archive, room) as file, zipfile.ZipFile(file) as opened:
        for entry in opened.infolist():
            check()
            mode = entry.external_attr >> 16
            if entry.flag_bits & 1:
                raise _Refused(f"{shown(entry.filename)} in it is encrypted")
            if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise _Refused(f"{shown(entry.filename)} in it is compressed in a way that is not known here")
            if entry.is_dir():
                folder.add_folder(entry.filename)
                continue
            with opened.open(entry) as content:
                if stat.S_ISLNK(mode):
                    folder.add_link(entry.filename, _target(content))
                else:
                    folder.write(entry.filename, _pieces(content, check), executable=bool(mode & 0o100))


def _target(content: IO[bytes]) -> str:
    target = content.read(LONGEST_TARGET + 1)
    if len(target) > LONGEST_TARGET or b"\0" in target:
        raise _Refused("a link in it leads nowhere")
    return target.decode(errors="surrogateescape")


def _pieces(content: IO[bytes], check: Check) -> Iterator[bytes]:
    while piece := content.read(PIECE):
        check()
        yield piece


class _Headers(io.FileIO):
    """Tar file that limits how many bytes are read for one entry's headers. left: None while content is read."""

    left: int | None = MOST_HEADER

    def read(self, size: int | None = -1, /) -> bytes:
        if self.left is not None:
            if size is None or not 0 <= size <= self.left:
                raise _Refused("its headers are too long")
            self.left -= size
        return super().read(size) or b""


def _untar(archive: Path, folder: RecordFolder, check: Check) -> None:
    with _Headers(archive) as file, tarfile.open(fileobj=file, mode="r:") as opened:
        while entry := opened.next():
            check()
            file.left = None
            _add(opened, entry, folder, check)
            file.left = MOST_HEADER


def _add(opened: tarfile.TarFile, entry: tarfile.TarInfo, folder: RecordFolder, check: Check) -> None:
    if entry.isdir():
        folder.add_folder(entry.name)
    elif entry.issym():
        folder.add_link(entry.name, entry.linkname)
    elif entry.islnk():
        folder.add_name(entry.name, entry.linkname)
    elif entry.isreg() and (content := opened.extractfile(entry)):
        with content:
            folder.write(entry.name, _pieces(content, check), executable=bool(entry.mode & 0o100))
    else:
        raise _Refused(f"{shown(entry.name)} in it is neither a file nor a folder")


def _plain(archive: Path, name: str, room: Room, check: Check) -> Path:
    """Return the archive without compression, as a file beside it. tarfile seeks in the file, which is slow in a compressed one."""
    if name.endswith(TAR):
        return archive
    plain = archive.with_name(f"{archive.name}.tar")
    room_left = room.max_bytes * 2  # headers and padding, too
    with plain.open("xb") as file, closing(_decompressed(archive, name)) as pieces:
        for piece in pieces:
            check()
            room_left -= len(piece)
            if room_left < 0:
                raise RepositoryTooLarge(url=room.url, limit=readable_size(room.max_bytes))
            file.write(piece)
    return plain


def _decompressed(archive: Path, name: str) -> Generator[bytes, None, None]:
    if name.endswith(XZ):
        yield from _from_xz(archive)
        return
    with gzip.open(archive) if name.endswith(GZIP) else bz2.open(archive) as file:
        while piece := file.read(PIECE):
            yield piece


def _from_xz(archive: Path) -> Iterator[bytes]:
    """Yield the decompressed data. lzma.LZMAFile has no memory limit, so a decompressor with one is used."""
    with archive.open("rb") as file:
        decoder = lzma.LZMADecompressor(memlimit=MOST_XZ_MEMORY)
        while not decoder.eof:
            more = file.read(PIECE) if decoder.needs_input else b""
            if decoder.needs_input and not more:
                raise EOFError
            yield decoder.decompress(more, PIECE)
        if decoder.unused_data or file.read(1):
            raise _Refused("it is made of several parts")
