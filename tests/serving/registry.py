"""A real container registry on loopback: Debian's docker-registry, with and without a password."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.serving.loopback import free_port

USER, PASSWORD = "pusher", "s3cret-of-the-registry"
_HTPASSWD = "pusher:$2y$04$0vcGWlhYCe67jxijWhzIXesLRzlLCH2rnZDgxB78OImg2AH0WJeWe\n"
_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/storage}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""
_AUTH = """auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""
_STARTS_WITHIN = 20.0


def what_is_missing() -> str:
    """Return the parts that this machine lacks for container builds, in one line; an empty text if it has them all."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux can try container builds here"
    lacking = [name for name in ("buildah", "docker-registry", "busybox") if shutil.which(name) is None]
    return (
        f"container builds need {', '.join(lacking)} (Debian: buildah docker-registry busybox-static)"
        if lacking
        else ""
    )


class LocalRegistry:
    """A registry that can be stopped and started again, at the same address and with the same content."""

    def __init__(self, folder: Path, *, locked: bool = False, host: str = "127.0.0.1") -> None:
        self.user, self.password = (USER, PASSWORD) if locked else ("", "")
        self._folder = folder
        self.host = f"{host}:{free_port()}"
        folder.mkdir(parents=True)
        (folder / "htpasswd").write_text(_HTPASSWD)
        (folder / "config.yml").write_text(
            (_CONFIG + (_AUTH if locked else "")).format(folder=folder, address=self.host)
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://{self.host}/bindery"

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = ["docker-registry", "serve", str(self._folder / "config.yml")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + _STARTS_WITHIN
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < until, "docker-registry does not answer"
            time.sleep(0.02)  # no event tells when it listens

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
        self._process = None

    def ask(self, method: str, path: str) -> httpx.Response:
        """Send a request to its API, with credentials that may do all."""
        auth = (self.user, self.password) if self.user else None
        kinds = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
        with httpx.Client(trust_env=False, auth=auth) as client:
            return client.request(method, f"http://{self.host}/v2/{path}", headers={"Accept": kinds})

    def _answers(self) -> bool:
        try:
            host, _, port = self.host.rpartition(":")
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def local_registry(folder: Path, *, locked: bool = False, host: str = "127.0.0.1") -> Iterator[LocalRegistry]:
    registry = LocalRegistry(folder, locked=locked, host=host)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
