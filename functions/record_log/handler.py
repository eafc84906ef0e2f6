"""Log subscription: write lines of a build's log to the table."""

from aws_lambda_powertools.utilities.data_classes import CloudWatchLogsEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.bootstrap import system
from bindery.domain.messages import LogWritten
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> None:
    """Store a batch of log events. Each event holds some lines of one attempt."""
    for line in CloudWatchLogsEvent(event).parse_logs_data().log_events:
        system().record_log(LogWritten.model_validate_json(line.message))
