"""A proxy between functions and the emulator: it counts the calls of each function to AWS, and answers for CodeBuild and ECR.

It also holds the table's writers to `dynamodb:LeadingKeys` of their roles, which the emulator does not know.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.serving.codebuild import CodeBuild
from tests.serving.loopback import Loopback, Quiet

SIGNED = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
PLAYED = ("codebuild", "ecr")
REFUSED = {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "dynamodb:LeadingKeys"}
OF_THE_CONNECTION = ("connection", "transfer-encoding", "keep-alive")


class AwsGate(Loopback):
    """The proxy, which runs while its `with` block lasts.

    behind: the emulator's port.
    writable: by access key, patterns of the partition keys that it may write; a key that is not listed may write any.
    calls: how often each access key made which call, such as `dynamodb:GetItem`. Each function has a key of its own.
    """

    def __init__(self, behind: int, codebuild: CodeBuild) -> None:
        self.behind = behind
        self.codebuild = codebuild
        self.writable: dict[str, set[str]] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        super().__init__(_Handler)

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  # the base class's names

    def _answer(self) -> None:
        body = self.body()
        signed = SIGNED.search(self.headers.get("Authorization", ""))
        key, service = (signed[1], signed[2]) if signed else ("", "")
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.server.owner.calls[key, f"{service}:{action}"] += 1
        if service == "dynamodb" and self._is_refused(key, json.loads(body)):
            self._send(400, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(REFUSED).encode())
        elif service in PLAYED:
            answer = self.server.owner.codebuild.answer(action, json.loads(body))
            self._send(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode())
        else:
            self._pass_on(body)

    def _is_refused(self, key: str, params: Mapping[str, Any]) -> bool:
        patterns = self.server.owner.writable.get(key, {"*"})
        return not all(any(fnmatchcase(pk, pattern) for pattern in patterns) for pk in _changed(params))

    def _pass_on(self, body: bytes) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.owner.behind, timeout=60)
        try:
            # The Host header stays, because it is part of the signature.
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in OF_THE_CONNECTION}
            self._send(answer.status, headers, answer.read())
        finally:
            connection.close()

    def _send(self, status: int, headers: Mapping[str, Any], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _changed(params: Mapping[str, Any]) -> Iterator[str]:
    """Return the partition keys that a call to DynamoDB writes or deletes.

    A read has neither an `Item` nor a condition on one.
    """
    changes = [change for each in params.get("TransactItems", ()) for change in each.values()]
    for change in (params, *changes):
        if "Item" in change:
            yield change["Item"]["pk"]["S"]
        elif "Key" in change and "ConditionExpression" in change:
            yield change["Key"]["pk"]["S"]
