"""JSON logs with a redaction filter: values that look like tokens never reach a log."""

import logging
import re
from collections.abc import Callable
from functools import cache, wraps
from typing import TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

Event = TypeVar("Event")
Answer = TypeVar("Answer")
SECRETS = re.compile(
    r"(?i)((?:build_token|token|authorization|secret|password)[\"']?\s*[=:]\s*[\"']?(?:bearer |token )?)[^\s\"'&,}]+"
)


class Redaction(logging.Filter):
    """Log filter that blanks values behind words such as `token=`."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        record.msg, record.args = SECRETS.sub(r"\1***", message), ()
        return True


@cache
def logger() -> Logger:
    """Return the functions' logger, made at its first use; `logging.getLogger("bindery")` returns the same logger."""
    powertools_logger = Logger(service="bindery", name="bindery")
    powertools_logger.addFilter(Redaction())
    return powertools_logger


def alarm(name: str, message: str) -> None:
    """Log an ERROR line for the operator. Alarms find such lines by `name`, under the key `alarm`."""
    logging.getLogger("bindery").error(message, extra={"alarm": name})


def logged(handler: Callable[[Event, LambdaContext], Answer]) -> Callable[[Event, LambdaContext], Answer]:
    """Wrap a handler: its request id is in every line, and its crash is logged before the runtime reports it."""

    @wraps(handler)
    def wrapper(event: Event, context: LambdaContext) -> Answer:
        log = logger()
        log.append_keys(function=context.function_name, request=context.aws_request_id)
        try:
            return handler(event, context)
        except Exception:
            log.exception("crashed")
            raise

    return wrapper
