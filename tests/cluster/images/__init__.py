"""The images that every cluster begins with: `base` for sessions and `pause`, built once, kept as a registry's storage."""

import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.cached import made, place_of
from tests.cluster.daemons import until
from tests.cluster.registry import registry

RECIPES = Path(__file__).parent
TAG = "1"
PACKAGES = "python3,python3-venv,git,ca-certificates,nginx-light"
WHEELS = ("jupyterlab==4.*", "ipykernel")
SPARE = ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "usr/share/doc/*", "usr/share/man/*")
# All processes and mounts of this command end with it, and it ends with this process.
APART = ("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")


def images() -> Path:
    """Return a folder with `registry`, the storage of a registry with these images."""
    return made(built(), _build)


def built() -> Path:
    recipe = [path.read_bytes() for path in sorted(RECIPES.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    return place_of("images", [*recipe, _suite().encode()])


def _build(folder: Path) -> None:
    work = folder / "work"
    _prepare_base(work / "base")
    _prepare_pause(work / "pause")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    serving = registry(folder, address).start()
    try:
        until(lambda: listens(address), [serving])
        for name in ("pause", "base"):
            _bud(work, name, f"{address}/{name}:{TAG}")
    finally:
        serving.stop()
    shutil.rmtree(work)


def _prepare_base(folder: Path) -> None:
    """Prepare Debian in this machine's release, and wheels for its Python. Both come by this machine's own clients
    and settings.
    """
    shutil.copytree(RECIPES / "base", folder)
    root = folder.parent / "root"
    _run([*APART, "debootstrap", "--variant=minbase", f"--include={PACKAGES}", _suite(), str(root), *_mirror()])
    for path in (path for pattern in SPARE for path in root.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    _run(["tar", "--directory", str(root), "--exclude=./dev/*", "--create", "--file", str(folder / "root.tar"), "."])
    version = "import sys; print('{}.{}'.format(*sys.version_info))"
    python = _run(["chroot", str(root), "python3", "-c", version]).strip()
    _run([sys.executable, "-m", "venv", str(folder.parent / "pip")])
    pip = [str(folder.parent / "pip" / "bin" / "pip"), "download", "--quiet", "--only-binary=:all:"]
    _run([*pip, f"--python-version={python}", f"--dest={folder / 'wheels'}", *WHEELS])


def _prepare_pause(folder: Path) -> None:
    shutil.copytree(RECIPES / "pause", folder)
    _run(["gcc", "-Os", "-static", "-o", str(folder / "pause"), str(folder / "pause.c")])


def _bud(work: Path, name: str, target: str) -> None:
    """Build an image with a single layer. No data stays in the machine's own storage."""
    buildah = [*APART, "buildah", "--root", str(work / "storage"), "--runroot", str(work / "run")]
    _run([*buildah, "bud", "--isolation=chroot", "--network=host", "--layers=false", "--tag", name, str(work / name)])
    _run([*buildah, "push", "--tls-verify=false", "--compression-format=zstd", name, f"docker://{target}"])


def _suite() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def _mirror() -> list[str]:
    """Return the address from which this machine's apt gets the suite.

    The list is empty if apt does not tell it; debootstrap then has a default.
    """
    form = ["--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    lines = [line.split() for line in _run(["apt-get", "indextargets", *form]).splitlines()]
    return [uri for codename, uri in lines if codename == _suite()][:1]


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _run(command: Sequence[str]) -> str:
    """Run a command and return its output. Raise RuntimeError with the output if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-2000:]}")
    return done.stdout
