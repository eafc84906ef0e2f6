"""What is refused before anybody reads it: the same here as on AWS, where API Gateway itself lets ten megabytes pass."""

import json
from collections.abc import Mapping

from bindery.domain.errors import RequestTooLarge
from bindery.web.errors.render import error_message

LARGEST_BODY = 64 * 1024
"""Bytes."""


def too_large(event: Mapping[str, object]) -> dict[str, object] | None:
    """The answer to a REST API's event whose body is over the limit; None for one that may pass."""
    body = event.get("body")
    fits = not isinstance(body, str) or len(body.encode("utf-8", "surrogatepass")) <= LARGEST_BODY
    return None if fits else refusal()


def refusal() -> dict[str, object]:
    """That a body is over the limit, as a REST API wants to be told."""
    shown = error_message(RequestTooLarge(limit=f"{LARGEST_BODY // 1024} KB"))
    headers = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    body = json.dumps({"code": shown.code, "message": shown.message})
    return {"statusCode": shown.status, "headers": headers, "body": body}
