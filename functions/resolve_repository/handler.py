"""Queue `resolve`: learn what a launch asks for and send it on its way."""

from bindery.bootstrap import system
from bindery.domain.messages import ResolveRequested
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, received: int) -> None:
    """One message; what fails comes again."""
    system().resolve_repository(ResolveRequested.model_validate_json(body), received)
