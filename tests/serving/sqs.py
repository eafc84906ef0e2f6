"""A queue that takes messages as SQS does, for functions in processes of their own. It keeps their messages for the test."""

import hashlib
import json
from http.server import BaseHTTPRequestHandler

from tests.serving.loopback import Loopback, Quiet


class Queues(Loopback):
    """A server that runs while its `with` block lasts. sent: queue name and body, in order."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        super().__init__(_Handler)

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables that lead a function's own client here."""
        queues = {name: f"{self.origin}/{name}" for name in ("resolve", "builds", "sessions", "stops")}
        return {
            "BINDERY_QUEUES": "sqs",
            "BINDERY_QUEUE_URLS": json.dumps(queues),
            "AWS_ENDPOINT_URL_SQS": self.origin,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.headers["X-Amz-Target"] == "AmazonSQS.SendMessage"
        request = json.loads(self.body())
        sent = self.server.owner.sent
        sent.append((request["QueueUrl"].rpartition("/")[2], request["MessageBody"]))
        digest = hashlib.md5(request["MessageBody"].encode(), usedforsecurity=False).hexdigest()
        body = json.dumps({"MessageId": str(len(sent)), "MD5OfMessageBody": digest}).encode()
        self.send(200, body, {"Content-Type": "application/x-amz-json-1.0"})
