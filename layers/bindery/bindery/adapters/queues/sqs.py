"""Messages through SQS."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from bindery.adapters.queues.messages import body_of, check_delay
from bindery.domain.errors import Throttled
from bindery.domain.messages import Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# What passes by itself, in the spellings of SQS's older and newer protocol.
PASSING = {
    "AWS.SimpleQueueService.RequestThrottled",
    "KMS.ThrottlingException",
    "KmsThrottled",
    "OverLimit",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
}


class SqsQueues:
    """The queue port over SQS. urls: each queue's address by its name; a message for a queue without one raises KeyError.

    A send whose answer was lost is sent again: the message may arrive twice, as the port allows.
    """

    def __init__(self, client: "SQSClient", urls: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls

    def send(self, message: Message, delay: float = 0) -> None:
        check_delay(delay)
        url, body = self._urls[message.queue], body_of(message)
        try:
            self._client.send_message(QueueUrl=url, MessageBody=body, DelaySeconds=math.ceil(delay))
        except ClientError as error:
            if (
                error.response["Error"]["Code"] in PASSING
                or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
            ):
                raise Throttled from error
            raise
        except (NoConnection, HTTPClientError) as error:
            raise Throttled from error
