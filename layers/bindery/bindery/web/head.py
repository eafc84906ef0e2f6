"""HEAD: the status and headers of GET, without its body (RFC 9110, 9.3.2)."""

from collections.abc import Callable, Mapping
from typing import Any

Answer = dict[str, Any]


def answered(event: Mapping[str, Any], resolve: Callable[[dict[str, Any]], Answer]) -> Answer:
    """Return the response to a REST API event; HEAD is resolved as GET.

    resolve: returns the response to an event of any other method. GET is safe everywhere here, so HEAD starts no launch either.
    """
    if event.get("httpMethod") != "HEAD":
        return resolve(dict(event))
    answer = resolve({**event, "httpMethod": "GET"})
    return {**answer, "body": "", "isBase64Encoded": False}
