"""Queue `builds`: start a claimed attempt in the build service."""

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.domain.messages import BuildRequested
from bindery.observability import logged

processor = BatchProcessor(event_type=EventType.SQS)


def start(record: SQSRecord) -> None:
    """One message."""
    system().start_build(BuildRequested.model_validate_json(record.body))


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """A batch; what fails comes again."""
    return process_partial_response(event, start, processor, context)
