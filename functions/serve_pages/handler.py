"""Pages, badges, health, versions, metrics: everything that a browser or a monitor only looks at."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """One request."""
    return system().serve_pages(event, context)
