"""`GET /build/...`: the launch's events, streamed. An ASGI app: here as it is, on AWS behind the Lambda Web Adapter."""

from starlette.applications import Starlette

from bindery.bootstrap import system


def app() -> Starlette:
    """What `serve` serves."""
    return system().stream.app()
