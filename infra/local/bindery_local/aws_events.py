"""Events in the format that AWS passes to the functions."""

import base64
import gzip
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

from bindery_local.memory_queue import Delivery

Event = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """Context of a handler's invocation, with the attributes of Lambda's context object."""

    function_name: str
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:local:0:function:local"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def from_queue(delivery: Delivery) -> Event:
    """Return a batch of one message as SQS delivers it."""
    record = {
        "messageId": delivery.id,
        "receiptHandle": delivery.id,
        "body": delivery.body,
        "attributes": {"ApproximateReceiveCount": str(delivery.receive_count)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:local:0:local",
        "awsRegion": "local",
    }
    return {"Records": [record]}


def from_build_service(delivery: Delivery) -> Event:
    """Return a build's change of state as EventBridge delivers it."""
    detail = json.loads(delivery.body)
    return {"id": delivery.id, "source": "bindery.builds", "detail-type": "Build Changed", "detail": detail}


def from_log(delivery: Delivery) -> Event:
    """Return log lines as a CloudWatch Logs subscription delivers them."""
    lines = {"logEvents": [{"id": delivery.id, "timestamp": 0, "message": delivery.body}]}
    about = {
        "messageType": "DATA_MESSAGE",
        "owner": "0",
        "logGroup": "builds",
        "logStream": "local",
        "subscriptionFilters": [],
    }
    packed = gzip.compress(json.dumps({**about, **lines}).encode(), 1)
    return {"awslogs": {"data": base64.b64encode(packed).decode()}}


def path_of(scope: Mapping[str, Any]) -> str:
    """Return a request's path, percent-encoded, with exactly one slash at its start."""
    path: str = scope["raw_path"].decode("utf-8", "replace").partition("?")[0]
    return "/" + path.lstrip("/")


def from_request(request: Request, body: bytes) -> Event:
    """Return a request as a Regional REST API delivers it: the path is still percent-encoded."""
    path = path_of(request.scope)
    query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name, []).append(value)
    client = request.client.host if request.client else "unknown"
    return {
        "resource": path,
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()},
        "multiValueQueryStringParameters": query,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "path": path,
            "stage": "live",
            "httpMethod": request.method,
            "protocol": request.url.scheme,
            "identity": {"sourceIp": client, "userAgent": request.headers.get("user-agent", "")},
            "requestId": str(uuid.uuid4()),
        },
        "body": body.decode("utf-8", "replace") or None,
        "isBase64Encoded": False,
    }
