"""Queue `stops`: the only way a session ends."""

from bindery.bootstrap import system
from bindery.domain.messages import StopRequested
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, _: int) -> None:
    """One message; what fails comes again."""
    system().stop_session(StopRequested.model_validate_json(body))
