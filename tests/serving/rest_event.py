"""A request as a Regional REST API hands it to a function: the path as the client sent it, the query decoded."""

from collections.abc import Mapping
from urllib.parse import parse_qs

CLIENT = "203.0.113.7"
HOST = "hub.example"


def rest_event(target: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> dict[str, object]:
    """Return the event of a request. target: as in a request's first line.

    headers: additions to those that API Gateway adds itself.
    """
    path, _, query = target.partition("?")
    values = parse_qs(query, keep_blank_values=True)
    sent = {
        "Host": HOST,
        "X-Forwarded-For": f"{CLIENT}, 198.51.100.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        **(headers or {}),
    }
    return {
        "resource": "/build/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: texts[-1] for name, texts in values.items()} or None,
        "multiValueQueryStringParameters": values or None,
        "pathParameters": {"proxy": path.removeprefix("/build/")},
        "stageVariables": None,
        "requestContext": _context(path, method),
        "body": None,
        "isBase64Encoded": False,
    }


def _context(path: str, method: str) -> dict[str, object]:
    return {
        "accountId": "123456789012",
        "apiId": "abcdef1234",
        "domainName": HOST,
        "domainPrefix": "hub",
        "extendedRequestId": "JJbxMHFxoAMFhxQ=",
        "httpMethod": method,
        "identity": {"sourceIp": CLIENT, "userAgent": "Mozilla/5.0 (Möbel)", "accessKey": None, "accountId": None},
        "path": f"/live{path}",
        "protocol": "HTTP/1.1",
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "requestTime": "24/Nov/2026:12:00:00 +0000",
        "requestTimeEpoch": 1795521600000,
        "resourceId": "ahrlr0",
        "resourcePath": "/build/{proxy+}",
        "stage": "live",
    }
