"""A real docker, as a build machine of CodeBuild has it: Debian's, fetched and not installed, in a network of its own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import codebuilds
from tests.serving.tool_storage import unmount

CREDENTIALS, MACHINE = "169.254.170.2", "169.254.169.254"
LOOPBACK = "127.0.0.1:2375"
"""The daemon's second address, as CodeBuild's image has it: github.com/aws/aws-codebuild-docker-images, dockerd-entrypoint.sh."""
_STARTS_WITHIN = 60.0


def what_is_missing() -> str:
    """Return the parts that this machine lacks, in one line; an empty text if it has them all."""
    if missing := codebuilds.what_is_missing():
        return missing
    needed = ("apt-get", "dpkg", "containerd", "runc", "iptables", "ip", "nsenter")
    lacking = [name for name in needed if shutil.which(name) is None]
    return (
        f"container builds need {', '.join(lacking)} for docker (Debian: containerd runc iptables)" if lacking else ""
    )


@dataclass(frozen=True)
class DockerEngine:
    """A docker daemon. around: the command that runs other commands inside its network.

    host: our address as that network sees it, also for registries without TLS.
    """

    folder: Path
    network: str
    host: str

    @property
    def around(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.network}"]

    @property
    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": f"unix://{self.folder}/docker.sock"}

    @property
    def commands(self) -> Path:
        return _unpacked() / "usr" / "bin"

    def forget_everything(self) -> None:
        """Delete all images and the cache: a new machine has neither."""
        self._docker("system", "prune", "--all", "--force")

    def _docker(self, *words: str) -> str:
        command, environment = [str(self.commands / "docker"), *words], {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@contextmanager
def docker_engine() -> Iterator[DockerEngine]:
    number = os.getpid() % 16_000
    folder = Path(
        tempfile.mkdtemp(prefix="bindery-docker-", dir="/tmp")
    )  # short: sockets' paths may have 107 characters
    engine = DockerEngine(folder, f"bindery-{number}", f"10.251.{number // 64}.{number % 64 * 4 + 1}")
    try:
        _make_network(engine, number)
        process = _start(engine)
        try:
            yield engine
        finally:
            process.terminate()
            process.wait(30)
    finally:
        _remove_network(engine, number)
        unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _make_network(engine: DockerEngine, number: int) -> None:
    host_end, engine_end = f"bdh{number}", f"bdc{number}"
    inner = engine.host.rpartition(".")[0] + f".{int(engine.host.rpartition('.')[2]) + 1}"
    _ip("netns", "add", engine.network)
    _ip("link", "add", host_end, "type", "veth", "peer", "name", engine_end, "netns", engine.network)
    for address in (f"{engine.host}/30", f"{CREDENTIALS}/32", f"{MACHINE}/32"):
        _ip("address", "add", address, "dev", host_end)
    _ip("link", "set", host_end, "up")
    within = ("-n", engine.network)
    _ip(*within, "address", "add", f"{inner}/30", "dev", engine_end)
    for name in ("lo", engine_end):
        _ip(*within, "link", "set", name, "up")
    _ip(*within, "route", "add", "default", "via", engine.host)


def _remove_network(engine: DockerEngine, number: int) -> None:
    subprocess.run(["ip", "link", "delete", f"bdh{number}"], capture_output=True)
    subprocess.run(["ip", "netns", "delete", engine.network], capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _start(engine: DockerEngine) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(_unpacked() / "usr" / "sbin"), str(engine.commands), os.environ["PATH"]])
    places = [
        f"--data-root={engine.folder}/data",
        f"--exec-root={engine.folder}/exec",
        f"--pidfile={engine.folder}/pid",
    ]
    reached = [f"--host=unix://{engine.folder}/docker.sock", f"--host=tcp://{LOOPBACK}"]
    reached += [f"--insecure-registry={engine.host}/32"]
    with (engine.folder / "log").open("wb") as log:
        command = [*engine.around, str(_unpacked() / "usr" / "sbin" / "dockerd"), *places, *reached]
        process = subprocess.Popen(command, env={**os.environ, "PATH": path}, stdout=log, stderr=log)
    until = time.monotonic() + _STARTS_WITHIN
    asking = [str(engine.commands / "docker"), "version"]
    while subprocess.run(asking, env={**os.environ, **engine.environment}, capture_output=True).returncode:
        assert process.poll() is None, (engine.folder / "log").read_text()[-2000:]
        assert time.monotonic() < until, "docker does not answer"
        time.sleep(0.1)  # no event tells when it listens
    return process


def _unpacked() -> Path:
    """Fetch docker once, and keep it outside the checkout."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bindery" / "docker"
    if not cache.is_dir():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as name:
            subprocess.run(["apt-get", "download", "-qq", "docker.io"], cwd=name, check=True, capture_output=True)
            (package,) = Path(name).glob("*.deb")
            subprocess.run(["dpkg", "-x", package, Path(name) / "root"], check=True)
            (Path(name) / "root").rename(cache)
    return cache
