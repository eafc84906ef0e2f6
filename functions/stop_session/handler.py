"""Queue `stops`: stop sessions. Sessions end in no other way."""

from bindery.bootstrap import system
from bindery.domain.messages import StopRequested
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, _: int) -> None:
    """Handle one message; after an error the queue delivers it again."""
    system().stop_session(StopRequested.model_validate_json(body))
