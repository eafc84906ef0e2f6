"""The API for people who script: create a launch, look at it, stop it; what the providers look like, and what an address asks for."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """One request."""
    return system().answer_api(event, context)
