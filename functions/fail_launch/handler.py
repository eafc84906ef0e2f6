"""Dead-letter queues: a message that cannot be handled ends its launch with a readable failure."""

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, _: int) -> None:
    """One dead letter, whatever it was; what fails comes again."""
    system().fail_launch(body)
