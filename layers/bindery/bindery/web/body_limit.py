"""Refuse large request bodies before they are parsed: the same limit here and on AWS, where API Gateway accepts ten megabytes."""

import json
from collections.abc import Mapping

from bindery.domain.errors import RequestTooLarge
from bindery.web.errors.render import error_message

LARGEST_BODY = 64 * 1024
"""Bytes."""


def too_large(event: Mapping[str, object]) -> dict[str, object] | None:
    """Return the response to a REST API event with a body over the limit; None for a body within it."""
    body = event.get("body")
    fits = not isinstance(body, str) or len(body.encode("utf-8", "surrogatepass")) <= LARGEST_BODY
    return None if fits else refusal()


def refusal() -> dict[str, object]:
    """Return the response to a body over the limit, in the format of a REST API."""
    error = error_message(RequestTooLarge(limit=f"{LARGEST_BODY // 1024} KB"))
    headers = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    body = json.dumps({"code": error.code, "message": error.message})
    return {"statusCode": error.status, "headers": headers, "body": body}
