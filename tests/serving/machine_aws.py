"""The AWS calls of a CodeBuild build machine: the project's credentials, and ECR's password. ECR itself is a local registry."""

import base64
import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.serving.loopback import Loopback, Quiet
from tests.serving.registry import LocalRegistry

ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = (
    "AKIATESTOFTHEPROJECT",
    "secret-key-of-the-project",
    "session-token-of-the-project",
)
CREDENTIALS_PATH = "/v2/credentials/6b1d7a1e-0c5f-4d0e-9d4e-of-this-build"


class MachineAws(Loopback):
    """A server that runs while its `with` block lasts. requests: actions and paths, in order."""

    def __init__(self, registry: LocalRegistry, host: str = "127.0.0.1", port: int = 0) -> None:
        self.requests: list[str] = []
        self._registry = registry
        super().__init__(_Handler, host, port)

    def answer(self, action: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match action:
            case "GetAuthorizationToken":
                token = base64.b64encode(f"{self._registry.user}:{self._registry.password}".encode()).decode()
                return 200, {
                    "authorizationData": [{"authorizationToken": token, "proxyEndpoint": self._registry.address}]
                }
            case "BatchGetImage":
                return 200, self._images(request["repositoryName"], request["imageIds"])
            case _:
                return 400, {"__type": "InvalidAction", "message": action}

    def _images(self, repository: str, requested: list[dict[str, str]]) -> dict[str, Any]:
        images, failures = [], []
        for image in requested:
            response = self._registry.ask("HEAD", f"{repository}/manifests/{image['imageDigest']}")
            if response.is_success:
                images.append({"repositoryName": repository, "imageId": image})
            else:
                failures.append({"imageId": image, "failureCode": "ImageNotFound", "failureReason": "none such"})
        return {"images": images, "failures": failures}


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.owner.requests.append(self.path)
        if self.path != CREDENTIALS_PATH:
            return self._send(404, {})
        credentials = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": SESSION_TOKEN}
        return self._send(200, {**credentials, "Expiration": "2099-01-01T00:00:00Z"})

    def do_POST(self) -> None:
        body = json.loads(self.body())
        action = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.server.owner.requests.append(action)
        if ACCESS_KEY not in self.headers.get("Authorization", ""):
            return self._send(403, {"__type": "AccessDeniedException", "message": "not the project's credentials"})
        return self._send(*self.server.owner.answer(action, body))

    def _send(self, status: int, content: dict[str, Any]) -> None:
        self.send(status, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.1"})
