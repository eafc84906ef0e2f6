"""Timer: stop sessions that are idle or too old."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> None:
    """Run one sweep."""
    system().cull_sessions()
