"""What this machine lacks for a cluster."""

import os
import shutil
import sys
from pathlib import Path

from tests.cluster import binaries, images

RUNS = ("containerd", "runc", "ctr", "docker-registry", "ip", "iptables", "unshare", "nsenter")
BUILDS_IMAGES = ("buildah", "debootstrap", "gcc", "apt-get")
PLUGINS = Path("/usr/lib/cni")


def what_is_missing() -> str:
    """In one line; empty when nothing is."""
    if sys.platform != "linux":
        return "a test cluster needs Linux"
    if os.geteuid() != 0:
        return "only root can start a test cluster"
    lacking = [name for name in RUNS if shutil.which(name) is None]
    if not (PLUGINS / "bridge").exists():
        lacking.append("containernetworking-plugins")
    if binaries.given() is None and not binaries.built().is_dir() and shutil.which("go") is None:
        lacking.append("go")
    if not images.built().is_dir():
        lacking += [name for name in BUILDS_IMAGES if shutil.which(name) is None]
    return f"a test cluster needs {', '.join(lacking)}" if lacking else ""
