"""Bindery as `make up` runs it, in a process of its own, and a client that launches there as other people's clients do."""

import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bindery.domain.tokens import Tokens
from bindery_builder.images.tool import ContainerTool
from tests.serving.conda_channel import NO_CHANNELS
from tests.serving.started import started_with
from tests.serving.tool_storage import clear

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
START_SECONDS = 60.0
STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Event:
    """An event of a stream. data: all its fields. id: empty if it had none."""

    phase: str
    message: str
    data: Mapping[str, str]
    id: str


@dataclass
class Stream:
    """A launch's event stream. events, comments: those received so far."""

    response: httpx.Response
    until: float
    events: list[Event] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    _lines: Iterator[str] | None = None
    _id: str = ""

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def phases(self) -> list[str]:
        """Return each phase once, in the order in which they began."""
        return list(dict.fromkeys(event.phase for event in self.events))

    @property
    def text(self) -> str:
        """Return all messages as one text."""
        return "".join(event.message for event in self.events)

    def listen(self) -> Iterator[Event]:
        """Yield events as they come, from the end of the last listening to the stream's end.

        Raise TimeoutError if that takes too long.
        """
        self._lines = self._lines or self.response.iter_lines()
        for line in self._lines:
            if time.monotonic() > self.until:
                raise TimeoutError(f"the stream does not end; events: {self.events[-5:]}")
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments.append(line)
            elif name == "id":
                self._id = value
            elif name == "data":
                data = json.loads(value)
                event = Event(data["phase"], data.get("message", ""), data, self._id)
                self.events.append(event)
                yield event
            elif line:
                raise ValueError(f"no line of an event: {line}")

    def wait_for(self, phase: str) -> Event:
        """Listen until the phase comes."""
        for event in self.listen():
            if event.phase == phase:
                return event
        raise AssertionError(f"{phase} never came: {self.events[-5:]}")

    def finish(self) -> Self:
        """Listen to the end."""
        for _ in self.listen():
            pass
        return self


@dataclass(frozen=True)
class Raw:
    """An answer to a request that was sent byte by byte. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


class LocalRuntime:
    """A runtime process that lives while its `with` block lasts, on a free port, with its state in `home`.

    Leftover processes and files fail the test afterwards.
    settings, words: `idle_seconds=4` is `BINDERY_IDLE_SECONDS=4`. template: a template in place of the project's.
    errors: the file for its terminal's error lines.
    """

    def __init__(
        self,
        home: Path,
        *,
        template: Path | None = None,
        settings: Mapping[str, float | str] | None = None,
        **words: str,
    ) -> None:
        self.home = home
        self.errors = home.with_name(f"{home.name}.stderr")
        self._arguments = ["--template", str(template)] if template else []
        self._settings = {
            f"BINDERY_{name.upper()}": str(value) for name, value in {**(settings or {}), **words}.items()
        }
        self._process: subprocess.Popen[str] | None = None
        self._temporary: Path | None = None
        self.address = ""
        self.client = httpx.Client(trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        self._temporary = Path(tempfile.mkdtemp(prefix="b"))  # short, because sockets in it need a short path
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._temporary is not None
        try:
            if self._process:
                self.stop()
            remaining, files = self.processes(), sorted(path.name for path in self._temporary.iterdir())
            for pid in remaining:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if error is None:
                assert not remaining, f"processes are left: {remaining}"
                assert not files, f"temporary files are left: {files}"
        finally:
            self.client.close()
            shutil.rmtree(self._temporary, ignore_errors=True)
            if tool := self._settings.get("BINDERY_CONTAINER_TOOL"):
                clear(ContainerTool(tool, self.home / "containers"))
            shutil.rmtree(self.home, ignore_errors=True)

    def start(self) -> None:
        """Start the runtime. Raise AssertionError with its output if it does not come up."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith("BINDERY_")}
        own = {"BINDERY_HOME": str(self.home), "BINDERY_PORT": "0", "BINDERY_CONDA_CHANNELS": NO_CHANNELS}
        settings = {**own, **self._settings}
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bindery_local", *self._arguments],
                cwd=ROOT,
                env={**outer, **settings, "TMPDIR": str(self._temporary)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        line = self._process.stdout.readline() if readable else ""
        assert line.startswith("Bindery is at http://127.0.0.1:"), f"said {line!r}; {self.errors.read_text()}"
        self.address = line.split()[-1].rstrip("/")
        self.client.base_url = httpx.URL(self.address)

    @property
    def temporary(self) -> Path:
        """Return its TMPDIR."""
        assert self._temporary is not None
        return self._temporary

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def line(self) -> str:
        """Wait for the next line that it prints after its address, and return it."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def memory(self) -> int:
        """Return the peak of its memory so far, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Ask it to end; return its exit code. Raise TimeoutExpired."""
        return self._end(number, seconds)

    def kill9(self) -> None:
        """Kill it as a power cut would; its sessions stay."""
        self._end(signal.SIGKILL, 10)

    def give_up(self) -> None:
        """Record the end of a runtime that did not come up."""
        if self._process:
            self._end(signal.SIGKILL, 10)
        self.client.close()

    def _end(self, number: signal.Signals, seconds: float) -> int:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        process.send_signal(number)
        code = process.wait(seconds)
        process.stdout.close()
        self._process = None
        return code

    def processes(self, mark: str = "") -> dict[int, str]:
        """Return command lines by process number.

        They are of every process, except the runtime itself, that has this home (and `mark`) in its command line or environment.
        """
        own = {os.getpid(), *([self._process.pid] if self._process else [])}
        commands = started_with(str(self.home), mark)
        return {number: command for number, command in commands.items() if number not in own}

    def sessions(self) -> dict[int, str]:
        """Return the processes of sessions."""
        return self.processes("BINDERY_SESSION=")

    def builds(self) -> dict[int, str]:
        """Return the processes of builds."""
        return self.processes("BINDERY_BUILD=")

    def connections(self) -> int:
        """Count the connections that clients have with it now, as the system counts them."""
        port = f":{int(self.address.rpartition(':')[2]):04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        open_states = ("01", "08")  # established; closed by the client only
        return sum(1 for line in lines if line[1].endswith(port) and line[3] in open_states)

    def session_marks(self) -> list[str]:
        """Return the marks that assign each process of a session to its session."""
        marks = []
        for pid in self.sessions():
            with suppress(OSError):
                for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    if pair.startswith(b"BINDERY_SESSION="):
                        marks.append(pair.decode())
        return marks

    def session_folders(self) -> list[str]:
        folder = self.home / "sessions"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    @property
    def log(self) -> str:
        """Return the content of its log."""
        return (self.home / "bindery.log").read_text()

    @property
    def tokens(self) -> Tokens:
        """Return a maker of tokens like those of this home's runtime."""
        return Tokens((self.home / "secret").read_text())

    def launches(self) -> int:
        """Count all launches ever made: each is a record in the table."""
        with closing(sqlite3.connect(f"file:{self.home}/table.sqlite?mode=ro", uri=True)) as table:
            (count,) = table.execute("SELECT count(*) FROM items WHERE sk = 'launch'").fetchone()
        return int(count)

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return the samples of `/metrics`, by name and labels, rendered after this call began."""
        began = time.time()
        until(lambda: self._rendered_at() >= began, 90)
        families = text_string_to_metric_families(self.client.get("/metrics").raise_for_status().text)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def _rendered_at(self) -> float:
        """Return the UTC seconds of the last rendering of `/metrics`; 0 without one."""
        with closing(sqlite3.connect(f"file:{self.home}/table.sqlite?mode=ro", uri=True)) as table:
            row = table.execute("SELECT data FROM items WHERE pk = 'metrics'").fetchone()
        return float(json.loads(row[0])["at"]) if row else 0

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        expected = labels.items()
        return sum(
            value for (metric, labelled), value in self.metrics().items() if metric == name and expected <= labelled
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    @contextmanager
    def stream(
        self,
        spec: str,
        *,
        provider: str = "git",
        headers: Mapping[str, str] | None = None,
        seconds: float = PATIENCE_SECONDS,
        **query: str,
    ) -> Iterator[Stream]:
        """Open a launch's stream. spec: as it stands in a link."""
        path = f"/build/{provider}/{spec}" + (f"?{urlencode(query)}" if query else "")
        # The path stays as it is: our client would tidy the address and hide the form that other clients send.
        target = path.encode()
        with self.client.stream(
            "GET", "/build", headers={**STREAM, **(headers or {})}, extensions={"target": target}
        ) as response:
            yield Stream(response, time.monotonic() + seconds)

    def launch(
        self,
        spec: str,
        *,
        provider: str = "git",
        headers: Mapping[str, str] | None = None,
        seconds: float = PATIENCE_SECONDS,
        **query: str,
    ) -> Stream:
        """Follow a launch from its beginning to its end."""
        with self.stream(spec, provider=provider, headers=headers, seconds=seconds, **query) as stream:
            return stream.finish()

    def raw(
        self, target: bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"", seconds: float = 30
    ) -> Raw:
        """Send a request exactly as given (`Host` and `Connection` added) and read the whole answer."""
        host, port = self.address.removeprefix("http://").split(":")
        fields = b"".join(header + b"\r\n" for header in headers)
        if not any(header.lower().startswith(b"host:") for header in headers):
            fields += f"Host: {host}:{port}\r\n".encode()
        if body:
            fields += b"Content-Length: %d\r\n" % len(body)
        head = method + b" " + target + b" HTTP/1.1\r\n" + fields + b"Connection: close\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=seconds) as connection:
            connection.sendall(head + body)
            with HTTPResponse(connection) as answer:
                answer.begin()
                text = answer.read().decode(errors="replace")
                return Raw(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)

    def token(self, target: str, *, jti: str, seconds: float = 300) -> str:
        """Return a build token for `<provider>/<spec>`, as the launch page has it."""
        return self.tokens.build_token(target, self.address, jti, time.time() + seconds)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
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
        time.sleep(min(0.5, max(0.05, 4 * (now - start))))
