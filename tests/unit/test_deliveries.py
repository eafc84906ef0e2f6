"""Deliveries of a queue: its function gets each message, and a message that fails is delivered again."""

from typing import Any, cast

import pytest

from bindery.lambda_support.sqs import Batch, each_message
from bindery_local.aws_events import Context, from_queue
from bindery_local.memory_queue import Delivery

CONTEXT = cast("Any", Context("some_function"))


def batch(*bodies: str, received: int = 1) -> Batch:
    events = [from_queue(Delivery(str(at), "resolve", body, received, 0.0, 1)) for at, body in enumerate(bodies)]
    return cast("Batch", {"Records": [record for event in events for record in event["Records"]]})


def test_a_handler_gets_the_body_and_the_receive_count() -> None:
    taken = list[tuple[str, int]]()
    handler = each_message(lambda body, received: taken.append((body, received)))
    handler(batch('{"launch": "1"}', received=3), CONTEXT)
    handler(batch("one", "two"), CONTEXT)
    assert taken == [('{"launch": "1"}', 3), ("one", 1), ("two", 1)]


def test_a_failed_message_fails_the_call_and_is_delivered_again() -> None:
    def refuse(body: str, received: int) -> None:
        raise ValueError(body, received)

    with pytest.raises(ValueError, match="poison"):
        each_message(refuse)(batch("poison"), CONTEXT)
