"""Sizes of packages, as Lambda counts them."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Size in bytes.

    zipped: the upload, which is fetched at a cold start. unpacked: counts against the limit of 250 MB.
    """

    zipped: int
    unpacked: int


def size_of(folder: Path) -> Size:
    """Return the size of one package."""
    written = BytesIO()
    files = [path for path in folder.rglob("*") if path.is_file()]
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    return Size(len(written.getbuffer()), sum(path.stat().st_size for path in files))


def table(sizes: Mapping[str, Size]) -> str:
    """Return a line for each package, then their total."""
    total = Size(sum(size.zipped for size in sizes.values()), sum(size.unpacked for size in sizes.values()))
    return "\n".join(f"{name} {_text(size)}" for name, size in {**sizes, "total": total}.items())


def _text(size: Size) -> str:
    return f"{_kilo(size.zipped)} kB ({_kilo(size.unpacked)} kB unpacked)"


def _kilo(count: int) -> int:
    return -(-count // 1000)
