"""A Kubernetes API server that gives prepared answers."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from urllib3 import PoolManager

from bindery.adapters.kubernetes.access import Entry
from bindery.adapters.kubernetes.api import Cluster

Answer = Callable[[socket.socket], None]
A_POD = {"metadata": {"name": "x"}, "spec": {"containers": [{"image": "x"}]}, "status": {}}


def whole_answer(body: object, status: str = "200 OK", more: str = "") -> Answer:
    """Return a complete answer. Bytes are sent as they are, other bodies as JSON."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(asker: socket.socket) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {len(text)}\r\n\r\n"
        asker.sendall(head.encode() + text)

    return answer


def chunked_answer(*lines: bytes, pause: float = 0.0) -> Answer:
    """Return an answer in these chunks that then stays open until the client closes the connection."""

    def answer(asker: socket.socket) -> None:
        asker.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for line in lines:
            asker.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            time.sleep(pause)
        asker.recv(1)

    return answer


class Always:
    """Access without credentials."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._entry = Entry(address, PoolManager())

    def entry(self) -> Entry:
        return self._entry

    def renewed(self, _refused: Entry, /) -> bool:
        return False

    def moved(self, _silent: Entry, /) -> bool:
        return False

    def close(self) -> None:
        self._entry.pool.clear()


@contextmanager
def server_with(*answers: Answer) -> Iterator[tuple[Cluster, list[str]]]:
    """Run a server that gives each connection the next of these answers, and repeats the last. Yield the cluster and its requests."""
    listener, requests = socket.create_server(("127.0.0.1", 0)), list[str]()
    threads: list[threading.Thread] = []

    def one(asker: socket.socket, answer: Answer) -> None:
        with asker, contextlib.suppress(OSError):
            requests.append(asker.recv(100_000).decode().partition(" HTTP")[0])
            answer(asker)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                asker, _ = listener.accept()
                answer = answers[min(len(threads), len(answers) - 1)]
                threads.append(threading.Thread(target=one, args=(asker, answer)))
                threads[-1].start()

    serving = threading.Thread(target=serve)
    serving.start()
    cluster = Cluster(Always(f"http://127.0.0.1:{listener.getsockname()[1]}"), "sessions")
    try:
        yield cluster, requests
    finally:
        cluster.close()
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()
        listener.close()
        for thread in threads:
            thread.join()


def event(kind: str = "MODIFIED", pod: object = A_POD) -> bytes:
    return json.dumps({"type": kind, "object": pod}).encode() + b"\n"
