"""Timer: lost events, stuck launches, builds nobody heard from, sessions and records without each other."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> None:
    """One sweep."""
    system().reconcile()
