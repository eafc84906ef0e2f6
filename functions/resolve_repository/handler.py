"""Queue `resolve`: learn what a launch asks for and send it on its way."""

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.domain.messages import ResolveRequested
from bindery.observability import logged

processor = BatchProcessor(event_type=EventType.SQS)


def resolve(record: SQSRecord) -> None:
    """One message."""
    received = int(record.attributes.approximate_receive_count)
    system().resolve_repository(ResolveRequested.model_validate_json(record.body), received)


@logged
def handler(event: dict[str, object], context: LambdaContext) -> object:
    """A batch; what fails comes again."""
    return process_partial_response(event, resolve, processor, context)
