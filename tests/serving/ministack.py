"""An emulator of AWS (ministack, in an environment of its own) in a process of its own, on loopback.

It runs Python functions from zip files in processes of the Python that it runs in, with the layers that they name; it polls
queues for them, fires schedules, and with AUTH=true lets each function do only those calls that its role's policies allow.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.serving.aws import REGION, config, session
from tests.serving.loopback import free_port
from tests.serving.packages import ROOT, make
from tests.serving.runtime import until

START_SECONDS = 60
ACCOUNT = "000000000000"
KEY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
"""The credentials of the account's root."""


class Ministack:
    """An emulator process. folder: for its log. Its port is known before it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "ministack.log"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        """Return a client with the account's root user."""
        return session("test", "test").client(service, endpoint_url=self.address, config=config())  # type: ignore[call-overload]

    @contextmanager
    def running(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Run the emulator. environment: variables of its functions, in addition to the template's."""
        make(".cache/ministack/ready")
        own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "MINISTACK_REGION": REGION, "AUTH": "true"}
        with tempfile.TemporaryDirectory(prefix="ministack-", ignore_cleanup_errors=True) as temporary:
            outer = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": temporary}
            command, words = [ROOT / ".cache" / "ministack" / "bin" / "ministack"], {**outer, **own, **KEY}
            with self.log.open("wb") as log:
                process = subprocess.Popen(
                    command, env={**words, **environment}, stdout=log, stderr=log, start_new_session=True
                )
            try:
                until(lambda: self._answers(process), START_SECONDS)
                yield
            finally:
                _end(process)

    def _answers(self, process: "subprocess.Popen[bytes]") -> bool:
        assert process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.address}/_ministack/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process together with the functions' processes, which are in its group."""
    process.terminate()
    try:
        process.wait(20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
