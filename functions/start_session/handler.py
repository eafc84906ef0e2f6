"""Queue `sessions`: start a launch's session and watch it for a few seconds."""

from bindery.bootstrap import system
from bindery.domain.messages import SessionRequested
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, received: int) -> None:
    """Handle one message; after an error the queue delivers it again."""
    system().start_session(SessionRequested.model_validate_json(body), received)
