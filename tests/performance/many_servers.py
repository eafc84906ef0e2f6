"""A process that answers as thousands of sessions' servers would: each by its host name, to its own token only."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from tests.fakes.many import token_of

ROOT = Path(__file__).parents[2]
DOMAIN = "sessions.localhost"
SILENT = "silent"
MOMENT = datetime.now(UTC).isoformat()
ANSWERS = {
    "/api/status": {"started": MOMENT, "last_activity": MOMENT, "connections": 1, "kernels": 1},
    "/api/kernels": [{"id": "k", "execution_state": "idle", "last_activity": MOMENT, "connections": 1}],
    "/api/terminals": [],
}


@dataclass(frozen=True)
class ManyServers:
    port: int

    def url(self, session: str) -> str:
        return f"http://{session}.{DOMAIN}:{self.port}/"

    def requests(self) -> dict[str, int]:
        """Return the connections and requests so far, by path."""
        counts: dict[str, int] = httpx.get(f"http://127.0.0.1:{self.port}/heard", trust_env=False).json()
        return counts


@contextmanager
def many_servers(delay: float = 0) -> Iterator[ManyServers]:
    """Provide the servers.

    delay: seconds that each answer takes. A session with an id that begins with SILENT never answers.
    """
    command = [sys.executable, "-m", "tests.performance.many_servers", str(delay)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ManyServers(int(process.stdout.readline()))
        finally:
            process.terminate()


class Responder(asyncio.Protocol):
    """Requests without bodies, one after the other on a connection."""

    def __init__(self, requests: Counter[str], delay: float) -> None:
        self.requests = requests
        self.delay = delay
        self.unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.counted = False

    def data_received(self, data: bytes) -> None:
        self.unread += data
        while b"\r\n\r\n" in self.unread:
            head, _, self.unread = self.unread.partition(b"\r\n\r\n")
            path, fields = _read(head.decode())
            session = fields.get("host", "").partition(".")[0]
            if not session.startswith(SILENT):
                answer = _spelled(*self._answer(path, session, fields.get("authorization", "")))
                asyncio.get_running_loop().call_later(self.delay, self._write, answer)

    def _answer(self, path: str, session: str, authorization: str) -> tuple[int, object]:
        if path == "/heard":
            return 200, self.requests
        self.requests.update([path] if self.counted else [path, "connections"])
        self.counted = True
        if authorization != f"token {token_of(session)}":
            return 403, {}
        return (200, ANSWERS[path]) if path in ANSWERS else (404, {})

    def _write(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


def _read(head: str) -> tuple[str, dict[str, str]]:
    first, *lines = head.split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return first.split()[1].partition("?")[0], fields


def _spelled(code: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %d .\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body)


async def main(delay: float) -> None:
    counts: Counter[str] = Counter()
    make = partial(Responder, counts, delay)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
