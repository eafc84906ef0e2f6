"""JSON API: create, show and stop launches, list providers, detect pasted addresses."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """Handle one request."""
    return system().answer_api(event, context)
