"""A function that only tests have. Its timer counts, its route tells the count, or crashes when asked to."""

from typing import Any

ticks = 0


def handler(event: dict[str, Any], context: object) -> dict[str, object]:
    global ticks  # noqa: PLW0603  # what a function remembers between two calls
    if not event:
        ticks += 1
        return {}
    if event["path"] == "/crash":
        raise RuntimeError("as a bug would")
    return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": str(ticks)}
