"""What podman and buildah leave behind when their storage is removed under them: mounts, and a folder for these outside of it."""

import shutil
import subprocess
import time
from pathlib import Path

from bindery_builder.images.tool import ContainerTool
from tests.serving.started import started_with

ENDS_WITHIN = 20.0


def clear(tool: ContainerTool) -> None:
    """The storage itself is for whoever made its folder to remove."""
    _await_end(tool.storages.parent)
    unmount(tool.storages)
    unmount(tool.run_roots)
    shutil.rmtree(tool.run_roots)


def _await_end(folder: Path) -> None:
    """A tool that was cut short lives a moment longer than what it worked for, and would make anew what is removed here."""
    end = time.monotonic() + ENDS_WITHIN
    while left := started_with(str(folder)):
        if time.monotonic() > end:
            raise TimeoutError(f"something still works in {folder}: {left}")
        time.sleep(0.02)


def unmount(folder: Path) -> None:
    """Everything below it."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in reversed([path for path in mounted if Path(path).is_relative_to(folder)]):
        subprocess.run(["umount", "--lazy", path], check=True)
