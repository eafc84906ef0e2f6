"""SQS events of a function: batches of messages. Bindery's queues deliver one message at a time.

Powertools' batch processor would work, but it loads asyncio and the types of all AWS events: 50 ms of a cold start that a visitor
waits for. It handles batches that fail in part, which cannot happen to a batch of one message.
"""

from collections.abc import Callable
from functools import wraps
from typing import TypedDict

from aws_lambda_powertools.utilities.typing import LambdaContext


class Attributes(TypedDict):
    """Attributes of a message. ApproximateReceiveCount: how often the message was delivered, including this time; a number, in digits."""

    ApproximateReceiveCount: str


class Record(TypedDict):
    """Message in the format of SQS."""

    body: str
    attributes: Attributes


class Batch(TypedDict):
    """Event of a queue's function."""

    Records: list[Record]


def each_message(take: Callable[[str, int], object]) -> Callable[[Batch, LambdaContext], None]:
    """Return a handler that passes on each message's body and its receive count.

    After an error the queue delivers the message again.

    If an operator sets a larger batch size, the messages before the failed one come again, too. This is harmless: steps are
    idempotent.
    """

    @wraps(take)
    def handler(event: Batch, _: LambdaContext) -> None:
        for record in event["Records"]:
            take(record["body"], int(record["attributes"]["ApproximateReceiveCount"]))

    return handler
