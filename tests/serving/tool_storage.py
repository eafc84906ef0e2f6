"""Leftovers of podman and buildah after their storage is removed: mounts, and a folder for them outside the storage."""

import shutil
import subprocess
import time
from pathlib import Path

from bindery_builder.images.tool import ContainerTool
from tests.serving.started import started_with

ENDS_WITHIN = 20.0


def clear(tool: ContainerTool) -> None:
    """Remove the leftovers. The creator of the storage's folder removes the storage itself."""
    _await_end(tool.storages.parent)
    unmount(tool.storages)
    unmount(tool.run_roots)
    shutil.rmtree(tool.run_roots)


def _await_end(folder: Path) -> None:
    """Wait for the tool's end. An interrupted tool outlives its caller for a moment, and would create the removed files again."""
    end, looks_without = time.monotonic() + ENDS_WITHIN, 0
    while looks_without < 2:  # a process that replaces itself just then is in no list
        processes = started_with(str(folder))
        looks_without = 0 if processes else looks_without + 1
        if time.monotonic() > end:
            raise TimeoutError(f"processes still work in {folder}: {processes}")
        time.sleep(0.02)


def unmount(folder: Path) -> None:
    """Unmount all mounts below the folder."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in reversed([path for path in mounted if Path(path).is_relative_to(folder)]):
        subprocess.run(["umount", "--lazy", path], check=True)
