"""A real environment with JupyterLab, made once per run, and a client for the kernels of a session's server."""

import fcntl
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import cast

import httpx
from websockets.sync.client import connect

from bindery.domain.environment import Scope
from bindery.domain.errors import BinderyError
from bindery.domain.repository import Repository
from bindery.domain.sessions import SessionOrder
from bindery.ports.contents import Checkout
from bindery_local.processes import Process, everything
from tests.serving.uv import UV

REF = "a" * 40
TOKEN = "0123456789abcdef0123456789abcdef"


@cache
def lab_python(base: Path) -> Path:
    """Return the interpreter of a virtual environment below `base` that has JupyterLab."""
    folder = base / "lab-environment"
    subprocess.run([UV, "venv", "--quiet", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "jupyterlab"], check=True
    )
    return python


@dataclass(frozen=True)
class LabEnvironment:
    """The environment that sessions of a test run in."""

    python: Path
    ref: str = REF
    content: Path | None = None
    home: Path | None = None
    start: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabHold:
    """A lock on a file of the test's."""

    descriptor: int

    def close(self) -> None:
        os.close(self.descriptor)


def hold(lock: Path) -> LabHold:
    lock.touch()
    descriptor = os.open(lock, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return LabHold(descriptor)


def is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@dataclass
class WrittenContents:
    """The contents port: writes these files, or raises. checkouts: number of calls."""

    files: dict[str, str]
    notes: tuple[str, ...] = ()
    error: BinderyError | None = None
    checkouts: int = 0

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        *,
        exact: bool = False,
    ) -> Checkout:
        self.checkouts += 1
        if self.error:
            raise self.error
        folder.mkdir()
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, newline="")
        return Checkout(self.notes)


def order_of(session: str, ref: str = REF, image: str = "uv/one", **variables: str) -> SessionOrder:
    """Return an order for a session of a repository at `ref`, which its image was built from."""
    repository = Repository(
        provider="git",
        spec="x/HEAD",
        ref=ref,
        resolved_spec=f"x/{ref}",
        clone_url="https://example.org/x",
        repo_url="https://example.org/x",
        ref_url=f"https://example.org/x/{ref}",
    )
    return SessionOrder(
        id=session,
        token=TOKEN,
        image=image,
        scope=Scope.COMMIT,
        repository=repository,
        variables=variables,
    )


def lab_server(process: Process) -> Process:
    """Return the server that a keeper runs, or that its `start` script runs."""
    below = {process.pid}
    for _ in range(3):
        for status in everything():
            if status.parent in below:
                below.add(status.process.pid)
                words = Path(f"/proc/{status.process.pid}/cmdline").read_bytes().split(b"\0")
                if len(words) > 1 and words[1].endswith(b"/start_lab.py"):
                    return status.process
    raise LookupError("no server below the keeper")


class KernelDiedError(Exception):
    """The error for code that killed its kernel."""


@dataclass(frozen=True)
class Kernel:
    """A kernel of a session's server, over its API and its websocket."""

    url: str
    id: str

    @contextmanager
    def running(self, code: str) -> Iterator[Iterator[dict[str, object]]]:
        """Send code to be run; give the kernel's messages about it until the kernel is idle again.

        The messages end with KernelDiedError if the server reports that the kernel died of the code.
        """
        address = self.url.replace("http://", "ws://") + f"api/kernels/{self.id}/channels?token={TOKEN}"
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        with connect(address, proxy=None) as socket:

            def answers() -> Iterator[dict[str, object]]:
                while True:
                    message = json.loads(socket.recv(timeout=120))
                    state = message["content"]["execution_state"] if message["msg_type"] == "status" else ""
                    if state == "restarting":
                        raise KernelDiedError("the kernel died and is started again")
                    if message["parent_header"].get("msg_id") != number:
                        continue
                    yield message
                    if state == "idle":
                        return

            socket.send(json.dumps(message))
            yield answers()

    def run(self, code: str) -> str:
        """Run code; return its stdout. An error of the code is part of the text."""
        with self.running(code) as answers:
            contents = [(message["msg_type"], cast("dict[str, object]", message["content"])) for message in answers]
        return "".join(str(content.get("text", content.get("evalue", ""))) for _, content in contents)


def kernel_of(url: str) -> Kernel:
    """Start a kernel at a session's server."""
    answer = httpx.post(
        f"{url}api/kernels", json={"name": "python3"}, headers=authorized(), timeout=30, trust_env=False
    )
    answer.raise_for_status()
    return Kernel(url, answer.json()["id"])


def authorized(token: str = TOKEN) -> dict[str, str]:
    """Return the header that a session's server requires."""
    return {"Authorization": f"token {token}"}


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Ask repeatedly until the condition holds. Raise TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        start = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        if now > end:
            raise TimeoutError("it never became so")
        # An expensive condition, for example a call of kubectl, is tried less often.
        time.sleep(min(0.5, max(0.02, 4 * (now - start))))
