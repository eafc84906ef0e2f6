"""Archive of the commit that an image was built for. The image contains it, and only this commit's sessions unpack it."""

import tarfile
from collections.abc import Callable
from pathlib import Path

from bindery_builder.process.remove_tree import remove_tree

FOLDER = "/var/lib/bindery"
"""Folder of the image. Its `content` holds `<commit>.tar`; `sessions/lay_out.sh` uses this path, too."""
_SOURCE = "carried"
_USER = 1000


def carry(commit: Path, ref: str, context: Path, dockerfile: Path, check: Callable[[], None]) -> None:
    """Move `commit`, a working copy, into an archive in the build context, and add a last step to the Dockerfile that copies it.

    No step of the build runs after the copy, so no step can read the archive. Sessions remove it: it belongs to their user. check:
    called for each file; its exceptions end the work.
    """
    archive = context / _SOURCE / "content" / f"{ref}.tar"
    archive.parent.mkdir(parents=True)

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        check()
        entry.uid = entry.gid = _USER
        entry.uname = entry.gname = ""
        return entry if entry.isreg() or entry.isdir() or entry.issym() else None

    # GNU's format has no limits on names or sizes, and stores names that are not UTF-8 unchanged.
    with tarfile.open(archive, "x", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for path in sorted(commit.iterdir()):
            tar.add(path, path.name, filter=plain)
    remove_tree(commit)
    with dockerfile.open("a", encoding="utf-8") as file:
        file.write(f"\n# The commit itself, for its own sessions\nCOPY --chown={_USER}:{_USER} {_SOURCE}/ {FOLDER}/\n")
