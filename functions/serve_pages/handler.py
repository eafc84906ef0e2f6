"""Pages, badges, health, versions and metrics: read-only responses for browsers and monitors."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """Handle one request."""
    return system().serve_pages(event, context)
