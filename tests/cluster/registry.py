"""Debian's docker-registry on the storage of the images' cache. Pushes of a test go into the cluster's folder only."""

import os
import shutil
from pathlib import Path

from tests.cluster import settings
from tests.cluster.daemons import Daemon
from tests.cluster.place import Place


def address(place: Place) -> str:
    return f"127.0.0.1:{place.port('registry')}"


def registry(folder: Path, listens_at: str, images: Path | None = None) -> Daemon:
    """Return the registry's daemon.

    folder: for its storage. images: a storage to begin with.
    """
    storage = folder / "registry"
    if images is not None:
        shutil.copytree(images / "registry", storage, copy_function=_share)
    config = settings.write("registry.yml", folder / "registry.yml", storage=storage, address=listens_at)
    return Daemon("docker-registry", folder, ("docker-registry", "serve", str(config)))


def _share(source: str, target: str) -> str:
    """Link a blob, because blobs never change and one copy is enough. Copy the files that name blobs, because they
    may change.
    """
    if Path(source).name == "data":
        try:
            os.link(source, target)
        except OSError:  # the cache is on another disk
            return shutil.copy2(source, target)
        return target
    return shutil.copy2(source, target)
