"""JSON logs with a redaction of their own: what looks like a token never reaches a log."""

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
    """Blanks values behind words such as `token=`."""

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.getMessage()
        record.msg, record.args = SECRETS.sub(r"\1***", told), ()
        return True


@cache
def logger() -> Logger:
    """The functions' logger, made at first use; `logging.getLogger("bindery")` is the same one."""
    made = Logger(service="bindery", name="bindery")
    made.addFilter(Redaction())
    return made


def alarm(name: str, told: str) -> None:
    """An ERROR line for whoever runs this; what counts such lines finds them by `name`, under the key `alarm`."""
    logging.getLogger("bindery").error(told, extra={"alarm": name})


def logged(handler: Callable[[Event, LambdaContext], Answer]) -> Callable[[Event, LambdaContext], Answer]:
    """Around a handler: its request id in every line, and its crash in the log before the runtime hears of it."""

    @wraps(handler)
    def told(event: Event, context: LambdaContext) -> Answer:
        log = logger()
        log.append_keys(function=context.function_name, request=context.aws_request_id)
        try:
            return handler(event, context)
        except Exception:
            log.exception("crashed")
            raise

    return told
