"""A queue that takes messages as SQS does, for functions in processes of their own: what they send is kept for the test."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Queues:
    """sent: queue name and body, in order."""

    address: str = ""
    sent: list[tuple[str, str]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """What leads a function's own client here."""
        queues = {name: f"{self.address}/{name}" for name in ("resolve", "builds", "sessions", "stops")}
        return {
            "BINDERY_QUEUES": "sqs",
            "BINDERY_QUEUE_URLS": json.dumps(queues),
            "AWS_ENDPOINT_URL_SQS": self.address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }


@contextmanager
def sqs() -> Iterator[Queues]:
    """On loopback while the `with` block lasts."""
    queues = Queues()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"queues": queues}))
    server.daemon_threads = True
    queues.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield queues
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    queues: Queues

    def do_POST(self) -> None:
        assert self.headers["X-Amz-Target"] == "AmazonSQS.SendMessage"
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.queues.sent.append((asked["QueueUrl"].rpartition("/")[2], asked["MessageBody"]))
        digest = hashlib.md5(asked["MessageBody"].encode(), usedforsecurity=False).hexdigest()
        body = json.dumps({"MessageId": str(len(self.queues.sent)), "MD5OfMessageBody": digest}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test says what went wrong."""
