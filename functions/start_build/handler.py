"""Queue `builds`: start a claimed attempt in the build service."""

from bindery.bootstrap import system
from bindery.domain.messages import BuildRequested
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, _: int) -> None:
    """One message; what fails comes again."""
    system().start_build(BuildRequested.model_validate_json(body))
