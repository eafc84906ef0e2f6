"""HEAD: the status and headers of GET, without its body (RFC 9110, 9.3.2)."""

from collections.abc import Callable, Mapping
from typing import Any

Answer = dict[str, Any]


def answered(event: Mapping[str, Any], resolve: Callable[[dict[str, Any]], Answer]) -> Answer:
    """Return the answer to a REST API's event; HEAD is resolved as GET.

    resolve: what answers the event of any other method. GET is safe everywhere here, so HEAD starts nothing, too.
    """
    if event.get("httpMethod") != "HEAD":
        return resolve(dict(event))
    answer = resolve({**event, "httpMethod": "GET"})
    return {**answer, "body": "", "isBase64Encoded": False}
