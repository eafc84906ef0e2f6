"""Queue `builds`: start a claimed attempt in the build service."""

from bindery.bootstrap import system
from bindery.deliveries import each_message
from bindery.domain.messages import BuildRequested
from bindery.observability import logged


@logged
@each_message
def handler(body: str, _: int) -> None:
    """One message; what fails comes again."""
    system().start_build(BuildRequested.model_validate_json(body))
