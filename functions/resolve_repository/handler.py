"""Queue `resolve`: resolve a launch's repository and request its next step."""

from bindery.bootstrap import system
from bindery.domain.messages import ResolveRequested
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, received: int) -> None:
    """Handle one message; after an error the queue delivers it again."""
    system().resolve_repository(ResolveRequested.model_validate_json(body), received)
