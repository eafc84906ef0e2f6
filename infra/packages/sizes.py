"""How large packages are, as Lambda counts them."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Bytes. zipped: what is uploaded and fetched at a cold start. unpacked: what counts against the limit of 250 MB."""

    zipped: int
    unpacked: int


def size_of(folder: Path) -> Size:
    """Of one package."""
    written = BytesIO()
    files = [path for path in folder.rglob("*") if path.is_file()]
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    return Size(len(written.getbuffer()), sum(path.stat().st_size for path in files))


def table(sizes: Mapping[str, Size]) -> str:
    """A line for each package, then their total."""
    total = Size(sum(size.zipped for size in sizes.values()), sum(size.unpacked for size in sizes.values()))
    return "\n".join(f"{name} {_told(size)}" for name, size in {**sizes, "total": total}.items())


def _told(size: Size) -> str:
    return f"{_kilo(size.zipped)} kB ({_kilo(size.unpacked)} kB unpacked)"


def _kilo(count: int) -> int:
    return -(-count // 1000)
