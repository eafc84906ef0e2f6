"""Dead-letter queues: a message that cannot be handled ends its launch with a readable failure."""

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.observability import logged

processor = BatchProcessor(event_type=EventType.SQS)


def fail(record: SQSRecord) -> None:
    """One dead letter, whatever it was."""
    system().fail_launch(record.body)


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """A batch; what fails comes again."""
    return process_partial_response(event, fail, processor, context)
