"""A kernel of a session, as a notebook uses it: created through the server's API, used through its websocket."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import httpx
from websockets.sync.client import ClientConnection, connect


@dataclass(frozen=True)
class Session:
    """A session as its launch's last event names it. url: with a trailing slash."""

    url: str
    token: str

    @classmethod
    def of(cls, ready: Mapping[str, str]) -> Self:
        return cls(ready["url"], ready["token"])

    def ask(self, path: str, method: str = "GET") -> httpx.Response:
        """Send a request to the server's API, such as `api/status`."""
        headers = {"Authorization": f"token {self.token}"}
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(method, f"{self.url}{path}", headers=headers)

    def answers(self) -> bool:
        """Return True if the session's server is there and accepts the token."""
        try:
            return self.ask("api/status").status_code == 200
        except httpx.TransportError:
            return False

    @contextmanager
    def kernel(self) -> Iterator["Kernel"]:
        """Yield a kernel with an open websocket, which exists as long as the block lasts."""
        id_ = self.ask("api/kernels", "POST").raise_for_status().json()["id"]
        address = f"{self.url.replace('http', 'ws', 1)}api/kernels/{id_}/channels?token={self.token}"
        with connect(address, proxy=None, open_timeout=30, max_size=None) as socket:
            yield Kernel(socket)
        self.ask(f"api/kernels/{id_}", "DELETE")

    def run(self, code: str) -> str:
        """Run code in a kernel of its own."""
        with self.kernel() as kernel:
            return kernel.run(code)

    def leave_running(self, code: str) -> None:
        """Start code in a kernel and leave, like a visitor closing the tab."""
        id_ = self.ask("api/kernels", "POST").raise_for_status().json()["id"]
        address = f"{self.url.replace('http', 'ws', 1)}api/kernels/{id_}/channels?token={self.token}"
        with connect(address, proxy=None, open_timeout=30) as socket:
            kernel = Kernel(socket)
            number = kernel.send(code)
            kernel.wait_until_busy(number)


@dataclass(frozen=True)
class Kernel:
    """An open connection to a kernel."""

    socket: ClientConnection

    def run(self, code: str) -> str:
        """Run code to its end and return its stdout. Raise RuntimeError with the code's own error."""
        number = self.send(code)
        written = ""
        for kind, content in self._answers(number):
            if kind == "stream":
                written += str(content["text"])
            elif kind == "error":
                raise RuntimeError(f"{content['ename']}: {content['evalue']}")
            elif kind == "status" and content["execution_state"] == "idle":
                break
        return written

    def send(self, code: str) -> str:
        """Send code; return the message's number."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": number, "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self.socket.send(json.dumps(message))
        return number

    def wait_until_busy(self, number: str) -> None:
        for kind, content in self._answers(number):
            if kind == "status" and content["execution_state"] == "busy":
                return

    def _answers(self, number: str) -> Iterator[tuple[str, dict[str, object]]]:
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            if message["parent_header"].get("msg_id") == number:
                yield message["msg_type"], message["content"]
