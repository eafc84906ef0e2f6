"""Queue `builds`: start a claimed attempt in the build service."""

from bindery.bootstrap import system
from bindery.domain.messages import BuildRequested
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, _: int) -> None:
    """Handle one message; after an error the queue delivers it again."""
    system().start_build(BuildRequested.model_validate_json(body))
