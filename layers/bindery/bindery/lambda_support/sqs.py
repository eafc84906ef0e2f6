"""What SQS hands to a function: messages, of which Bindery's queues bring one at a time.

Powertools' batch processor would do, but it loads asyncio and the shapes of all of AWS' events: 50 ms of a cold start that a
visitor waits for. What it is for, a batch that fails in part, cannot happen to a batch of one.
"""

from collections.abc import Callable
from functools import wraps
from typing import TypedDict

from aws_lambda_powertools.utilities.typing import LambdaContext


class Attributes(TypedDict):
    """ApproximateReceiveCount: how often the message was handed out, this time included; a number, in digits."""

    ApproximateReceiveCount: str


class Record(TypedDict):
    """One message, as SQS hands it over."""

    body: str
    attributes: Attributes


class Batch(TypedDict):
    """The event of a queue's function."""

    Records: list[Record]


def each_message(take: Callable[[str, int], object]) -> Callable[[Batch, LambdaContext], None]:
    """A handler that hands on each message's body, and how often it was received. What raises comes again, as the queue says.

    From a mapping that somebody made larger, those before it come again with it, which changes nothing: steps are told twice.
    """

    @wraps(take)
    def handler(event: Batch, _: LambdaContext) -> None:
        for record in event["Records"]:
            take(record["body"], int(record["attributes"]["ApproximateReceiveCount"]))

    return handler
