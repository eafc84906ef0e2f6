"""What podman and buildah leave behind when their storage is removed under them: mounts, and a folder for these outside of it."""

import shutil
import subprocess
from pathlib import Path

from bindery.adapters.builds.container_tool import ContainerTool


def clear(tool: ContainerTool) -> None:
    """The storage itself is for whoever made its folder to remove."""
    unmount(tool.storage)
    unmount(tool.run_root)
    shutil.rmtree(tool.run_root)


def unmount(folder: Path) -> None:
    """Everything below it."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in reversed([path for path in mounted if Path(path).is_relative_to(folder)]):
        subprocess.run(["umount", "--lazy", path], check=True)
