"""`GET /build/...`: the launch's events, streamed. An ASGI app: directly in the local runtime, on AWS behind the Lambda Web Adapter."""

from starlette.applications import Starlette

from bindery.bootstrap import system


def app() -> Starlette:
    """Return the app that `serve` runs."""
    return system().stream.app()
