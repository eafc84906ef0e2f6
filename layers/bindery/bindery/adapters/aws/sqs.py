"""Queues on SQS."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from bindery.adapters.queue_limits import MAX_BODY, body_of, check_delay
from bindery.domain.errors import Throttled
from bindery.domain.messages import Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef

# Temporary errors, in the spellings of SQS's older and newer protocol.
PASSING = {
    "AWS.SimpleQueueService.RequestThrottled",
    "KMS.ThrottlingException",
    "KmsThrottled",
    "OverLimit",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
}
BATCH = 10
"""Messages in one call, at most MAX_BODY bytes together."""


class SqsQueues:
    """Queue port over SQS. urls: each queue's address by its name; a message for a queue without an address raises KeyError.

    A send with a lost response is repeated: the message may arrive twice, as the port allows.
    """

    def __init__(self, client: "SQSClient", urls: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls

    def send(self, message: Message, delay: float = 0) -> None:
        check_delay(delay)
        url, body = self._urls[message.queue], body_of(message)
        with _facts():
            self._client.send_message(QueueUrl=url, MessageBody=body, DelaySeconds=math.ceil(delay))

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None:
        check_delay(delay)
        bodies: dict[str, list[str]] = {}
        for message in messages:
            bodies.setdefault(self._urls[message.queue], []).append(body_of(message))
        for url, of_queue in bodies.items():
            for batch in _batches(of_queue):
                self._send_batch(url, batch, math.ceil(delay))

    def _send_batch(self, url: str, bodies: Sequence[str], delay: int) -> None:
        """Send one batch. Raises Throttled if SQS did not accept a message now, ClientError if SQS will never accept it."""
        with _facts():
            answer = self._client.send_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(number), "MessageBody": body, "DelaySeconds": delay}
                    for number, body in enumerate(bodies)
                ],
            )
        failed = answer.get("Failed", [])
        if lasting := [entry for entry in failed if entry["SenderFault"] and entry["Code"] not in PASSING]:
            raise _refusal(lasting[0])
        if failed:
            raise Throttled


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for body in bodies:
        if len(batch) == BATCH or sum(map(len, batch)) + len(body) > MAX_BODY:
            yield batch
            batch = []
        batch.append(body)
    if batch:
        yield batch


def _refusal(entry: "BatchResultErrorEntryTypeDef") -> ClientError:
    return ClientError({"Error": {"Code": entry["Code"], "Message": entry.get("Message", "")}}, "SendMessageBatch")


@contextmanager
def _facts() -> Iterator[None]:
    """Raise SQS's temporary errors as the port's."""
    try:
        yield
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in PASSING or status >= 500:
            raise Throttled from error
        raise
    except (NoConnection, HTTPClientError) as error:
        raise Throttled from error
