"""Debian's docker-registry, on what the images' cache holds: pushes of a test go into the cluster's folder only."""

import os
import shutil
from pathlib import Path

from tests.cluster import settings
from tests.cluster.daemons import Daemon
from tests.cluster.place import Place


def address(place: Place) -> str:
    return f"127.0.0.1:{place.port('registry')}"


def registry(folder: Path, listens_at: str, images: Path | None = None) -> Daemon:
    """folder: for its storage. images: a storage to begin with."""
    storage = folder / "registry"
    if images is not None:
        shutil.copytree(images / "registry", storage, copy_function=_share)
    config = settings.write("registry.yml", folder / "registry.yml", storage=storage, address=listens_at)
    return Daemon("docker-registry", folder, ("docker-registry", "serve", str(config)))


def _share(source: str, target: str) -> str:
    """Blobs never change, so that one copy does; what names them may."""
    if Path(source).name == "data":
        try:
            os.link(source, target)
        except OSError:  # the cache is on another disk
            return shutil.copy2(source, target)
        return target
    return shutil.copy2(source, target)
