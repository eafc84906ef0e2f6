"""Requirements for a cluster that this machine does not meet."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import binaries, images

RUNS = {
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "ip": "iproute2",
    "iptables": "iptables",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
BUILDS_IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap", "gcc": "gcc", "/usr/include/stdio.h": "libc6-dev"}
MAY = "mount -t tmpfs none /mnt && ip link add probe type bridge"


def what_is_missing() -> str:
    """Return the missing requirements in one line. The line is empty when this machine meets all of them."""
    if sys.platform != "linux":
        return "a test cluster needs Linux"
    if _system() != "debian":
        return "a test cluster needs Debian"
    if os.geteuid() != 0:
        return "only root can start a test cluster"
    if lacking := list(_lacking()):
        return f"a test cluster needs {', '.join(lacking)}"
    return _right_missing()


def _lacking() -> Iterator[str]:
    """Yield the missing packages, and Go if it is missing."""
    required = RUNS if images.built().is_dir() else {**RUNS, **BUILDS_IMAGES}
    yield from (package for requirement, package in required.items() if not _is_here(requirement))
    if ready := binaries.configured_folder():
        yield from (f"{ready}/{name}" for name in binaries.ALL if not (ready / name).exists())
    elif not binaries.built().is_dir() and not _go_is_new_enough():
        yield f"go {binaries.go_version()}"


def _is_here(requirement: str) -> bool:
    """Return True if the file exists, or if the program is on PATH."""
    return Path(requirement).exists() if requirement.startswith("/") else shutil.which(requirement) is not None


def _go_is_new_enough() -> bool:
    go = shutil.which("go")
    if go is None:
        return False
    output = subprocess.run([go, "env", "GOVERSION"], cwd="/", capture_output=True, text=True).stdout
    version = re.match(r"go(\d+\.\d+)", output)
    return version is not None and _numbers(version[1]) >= _numbers(binaries.go_version())


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _right_missing() -> str:
    """Return the missing right, if any. Root in a container may often neither mount nor make a bridge."""
    tried = subprocess.run(["unshare", "--mount", "--net", "sh", "-c", MAY], capture_output=True, text=True)
    if tried.returncode:
        return f"a test cluster needs more rights: {tried.stderr.strip()}"
    if not os.access("/sys/fs/cgroup", os.W_OK):
        return "a test cluster needs more rights: cgroups cannot be written"
    return ""


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return ""
