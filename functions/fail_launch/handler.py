"""Dead-letter queues: a message that cannot be handled ends its launch with a readable failure."""

from bindery.bootstrap import system
from bindery.lambda_support.logging import logged
from bindery.lambda_support.sqs import each_message


@logged
@each_message
def handler(body: str, _: int) -> None:
    """Handle one dead letter of any kind; after an error the queue delivers it again."""
    system().fail_launch(body)
