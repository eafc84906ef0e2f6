"""The queue port's sentences, on every queue."""

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from bindery.adapters.aws.sqs import SqsQueues
from bindery.domain.errors import Throttled
from bindery.domain.messages import BuildRequested, LogLine, LogWritten, ResolveRequested
from bindery_local.memory_queue import MemoryQueues
from tests.contract.conftest import Sending
from tests.fakes.queue import FakeQueue, numbered
from tests.serving import aws

MESSAGE = ResolveRequested(launch="launch#1", step=3)
BUILD = BuildRequested(environment="abc", attempt=1)


# send, on every queue


def test_a_message_arrives_as_its_json(sending: Sending) -> None:
    sending.queue.send(MESSAGE)
    assert sending.arrived("resolve") == [{"version": 1, "launch": "launch#1", "step": 3}]


def test_every_message_arrives_in_its_own_queue(sending: Sending) -> None:
    for message in (MESSAGE, BUILD, MESSAGE):
        sending.queue.send(message)
    assert sending.arrived("resolve") == [MESSAGE.model_dump()] * 2
    assert sending.arrived("builds") == [BUILD.model_dump()]


def test_any_text_arrives_unchanged(sending: Sending) -> None:
    text = "naïve 漢 🦉 \x00\x1b[31m\r\n\t\x7f\u2028\ufffe\uffff \"'\\"
    sending.queue.send(ResolveRequested(launch=text, step=1))
    assert ResolveRequested.model_validate(sending.arrived("resolve")[0]).launch == text


@pytest.mark.parametrize("delay", [60, 899.5, 900])
def test_a_delayed_message_does_not_arrive_at_once(sending: Sending, delay: float) -> None:
    sending.queue.send(MESSAGE, delay=delay)
    assert sending.arrived("resolve") == []
    assert sending.delayed("resolve") == 1


@pytest.mark.parametrize("delay", [-1, 900.5, float("nan"), float("inf")])
def test_a_delay_outside_the_limits_of_queues_is_refused(sending: Sending, delay: float) -> None:
    with pytest.raises(ValueError, match="delay is"):
        sending.queue.send(MESSAGE, delay=delay)
    assert sending.arrived("resolve") == []


def test_a_message_over_a_megabyte_is_refused(sending: Sending) -> None:
    with pytest.raises(ValueError, match="a message has"):
        sending.queue.send(ResolveRequested(launch="x" * 1024 * 1024, step=1))
    assert sending.arrived("resolve") == []


def test_five_hundred_long_log_lines_fit_into_one_message(sending: Sending) -> None:
    lines = tuple(LogLine(number=number, phase="building", message="漢" * 200) for number in range(500))
    written = LogWritten(environment="abc", attempt=1, lines=lines)
    sending.queue.send(written)
    assert [LogWritten.model_validate(body) for body in sending.arrived("logs")] == [written]


def test_messages_of_the_fake_queue_can_be_delivered_in_any_order() -> None:
    queue = FakeQueue()
    for number in range(3):
        queue.send(numbered(number), delay=number)
    assert [sent.delay for sent in queue.sent] == [0, 1, 2]
    assert [queue.pop(2), queue.pop(), queue.pop()] == [numbered(2), numbered(0), numbered(1)]


# send_all, on every queue


def test_messages_sent_together_all_arrive_in_their_queues(sending: Sending) -> None:
    sending.queue.send_all([numbered(number) for number in range(25)] + [BUILD])
    arrived: list[object] = []
    while page := sending.arrived("resolve"):
        arrived += page
        if len(page) == 25:  # the fake keeps the message itself
            break
    assert sorted(str(body) for body in arrived) == sorted(str(numbered(n).model_dump()) for n in range(25))
    assert sending.arrived("builds") == [BUILD.model_dump()]


def test_sending_no_messages_is_no_error(sending: Sending) -> None:
    sending.queue.send_all([])
    assert sending.arrived("resolve") == []


def test_messages_sent_together_can_be_delayed(sending: Sending) -> None:
    sending.queue.send_all([numbered(1), numbered(2)], delay=60)
    assert sending.arrived("resolve") == []
    assert sending.delayed("resolve") == 2


def test_messages_too_large_for_one_call_are_sent_in_several(sending: Sending) -> None:
    large = [ResolveRequested(launch="x" * 700_000, step=number) for number in range(2)]
    sending.queue.send_all(large)
    arrived = [*sending.arrived("resolve"), *sending.arrived("resolve")]
    assert {ResolveRequested.model_validate(body).step for body in arrived} == {0, 1}


def test_a_message_that_is_too_large_is_refused_before_its_batch_is_sent(sending: Sending) -> None:
    with pytest.raises(ValueError, match="a message has"):
        sending.queue.send_all([MESSAGE, ResolveRequested(launch="x" * 1024 * 1024, step=1)])
    assert sending.arrived("resolve") == []


# SQS's errors


@pytest.mark.parametrize(
    ("code", "sender", "expected"),
    [
        ("InternalError", False, Throttled),
        ("ThrottlingException", True, Throttled),
        ("InvalidMessageContents", True, ClientError),
    ],
)
def test_a_partly_failed_batch_of_sqs_is_an_error(code: str, sender: bool, expected: type[Exception]) -> None:
    client = aws.session().client("sqs", config=aws.config())
    failed = {"Id": "1", "Code": code, "SenderFault": sender}
    with Stubber(client) as stub:
        stub.add_response("send_message_batch", {"Successful": [], "Failed": [failed]})
        with pytest.raises(expected):
            SqsQueues(client, {"resolve": "https://queue.invalid/1/resolve"}).send_all([numbered(1), numbered(2)])
    client.close()


def test_sqs_messages_are_sent_ten_in_a_call() -> None:
    client = aws.session().client("sqs", config=aws.config())
    with Stubber(client) as stub:
        for _ in range(3):
            stub.add_response("send_message_batch", {"Successful": [], "Failed": []})
        SqsQueues(client, {"resolve": "https://queue.invalid/1/resolve"}).send_all([numbered(n) for n in range(25)])
        stub.assert_no_pending_responses()
    client.close()


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("RequestThrottled", 403, Throttled),
        ("ThrottlingException", 400, Throttled),
        ("OverLimit", 403, Throttled),
        ("InternalError", 500, Throttled),
        ("ServiceUnavailable", 503, Throttled),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, ClientError),
    ],
)
def test_temporary_errors_of_sqs_are_throttled(code: str, status: int, expected: type[Exception]) -> None:
    client = aws.session().client("sqs", config=aws.config())
    with Stubber(client) as stub:
        stub.add_client_error("send_message", code, http_status_code=status)
        with pytest.raises(expected):
            SqsQueues(client, {"resolve": "https://queue.invalid/1/resolve"}).send(MESSAGE)
    client.close()


def test_sqs_messages_are_ascii_and_delays_are_rounded_up_to_seconds() -> None:
    client = aws.session().client("sqs", config=aws.config())
    url = "https://queue.invalid/1/resolve"
    body = '{"version":1,"launch":"\\u6f22\\uffff","step":1}'
    with Stubber(client) as stub:
        stub.add_response("send_message", {}, {"QueueUrl": url, "MessageBody": body, "DelaySeconds": 3})
        SqsQueues(client, {"resolve": url}).send(ResolveRequested(launch="漢\uffff", step=1), delay=2.5)
    client.close()


def test_an_unknown_queue_raises_a_key_error() -> None:
    client = aws.session().client("sqs", config=aws.config())
    for queue in (SqsQueues(client, {}), MemoryQueues()):
        with pytest.raises(KeyError):
            queue.send(MESSAGE)
    client.close()
