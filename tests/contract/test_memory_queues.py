"""The queue behaviour that the local runtime relies on: the queues in memory treat every receiver as SQS does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bindery.domain.errors import Throttled
from bindery.domain.messages import ResolveRequested
from bindery_local.memory_queue import Delivery, MemoryQueues
from tests.fakes.clock import FakeClock
from tests.fakes.queue import numbered

MESSAGE = ResolveRequested(launch="launch#1", step=3)


@pytest.fixture
def queues(clock: FakeClock) -> Iterator[MemoryQueues]:
    queues = MemoryQueues(elapsed=clock.now, now=clock.now)
    queues.configure("resolve", visibility_seconds=30, max_receive_count=2, dead_letter="resolve-dead")
    queues.configure("resolve-dead", visibility_seconds=30, max_receive_count=1, dead_letter=None)
    yield queues
    queues.close()


@pytest.fixture
def live() -> Iterator[MemoryQueues]:
    """Yield queues on real time, for tests that wait."""
    queues = MemoryQueues()
    queues.configure("resolve", visibility_seconds=600, max_receive_count=2, dead_letter=None)
    yield queues
    queues.close()


def only(deliveries: list[Delivery]) -> Delivery:
    (delivery,) = deliveries
    return delivery


def test_a_delayed_message_arrives_after_its_delay(queues: MemoryQueues, clock: FakeClock) -> None:
    for delay in (30, 10, 20):
        queues.send(numbered(delay), delay=delay)
    clock.advance(9.9)
    assert queues.receive("resolve") == []
    clock.advance(0.1)
    assert only(queues.receive("resolve")).body == numbered(10).model_dump_json()
    clock.advance(20)
    assert [delivery.body for delivery in queues.receive("resolve")] == [
        numbered(n).model_dump_json() for n in (20, 30)
    ]


def test_a_message_in_flight_is_not_delivered_again(queues: MemoryQueues, clock: FakeClock) -> None:
    queues.send(MESSAGE)
    delivery = only(queues.receive("resolve"))
    assert (delivery.queue, delivery.receive_count, delivery.sent_at) == ("resolve", 1, clock.now())
    clock.advance(29.9)
    assert queues.receive("resolve") == []
    assert queues.depth("resolve") == 1


def test_a_message_not_deleted_comes_back_after_its_visibility_timeout(queues: MemoryQueues, clock: FakeClock) -> None:
    queues.send(MESSAGE)
    first = only(queues.receive("resolve"))
    clock.advance(30)
    second = only(queues.receive("resolve"))
    assert (second.id, second.body, second.sent_at) == (first.id, first.body, first.sent_at)
    assert second.receive_count == 2


def test_a_deleted_message_never_comes_back(queues: MemoryQueues, clock: FakeClock) -> None:
    queues.send(MESSAGE)
    delivery = only(queues.receive("resolve"))
    queues.delete(delivery)
    queues.delete(delivery)
    queues.release(delivery)
    clock.advance(1000)
    assert queues.receive("resolve") == []
    assert queues.depth("resolve") == 0


def test_a_released_message_comes_back_at_once_or_after_its_delay(queues: MemoryQueues, clock: FakeClock) -> None:
    queues.send(MESSAGE)
    queues.release(only(queues.receive("resolve")))
    queues.release(only(queues.receive("resolve")), delay=5)
    assert queues.receive("resolve") == []
    clock.advance(5)
    assert queues.receive("resolve") == []
    assert only(queues.receive("resolve-dead")).receive_count == 1


def test_an_old_delivery_has_no_effect_after_a_redelivery(queues: MemoryQueues, clock: FakeClock) -> None:
    queues.send(MESSAGE)
    old = only(queues.receive("resolve"))
    clock.advance(30)
    new = only(queues.receive("resolve"))
    queues.release(old)
    assert queues.receive("resolve") == []
    queues.delete(old)
    assert queues.depth("resolve") == 1
    queues.delete(new)
    assert queues.depth("resolve") == 0


def test_a_message_received_too_often_moves_to_the_dead_letter_queue(queues: MemoryQueues, clock: FakeClock) -> None:
    queues.send(MESSAGE)
    sent_at = clock.now()
    first = only(queues.receive("resolve"))
    clock.advance(30)
    assert only(queues.receive("resolve")).receive_count == 2
    assert queues.receive("resolve-dead") == []
    clock.advance(30)
    assert queues.receive("resolve") == []
    assert (queues.depth("resolve"), queues.depth("resolve-dead")) == (0, 1)
    dead = only(queues.receive("resolve-dead"))
    assert (dead.id, dead.queue, dead.body, dead.receive_count) == (first.id, "resolve-dead", first.body, 1)
    assert dead.sent_at == sent_at


def test_a_message_without_a_dead_letter_queue_is_delivered_again_and_again(
    queues: MemoryQueues, clock: FakeClock
) -> None:
    queues.configure("resolve", visibility_seconds=1, max_receive_count=1, dead_letter=None)
    queues.send(MESSAGE)
    for count in range(1, 6):
        assert only(queues.receive("resolve")).receive_count == count
        clock.advance(1)


def test_at_most_the_requested_number_is_received_oldest_first(queues: MemoryQueues) -> None:
    for number in range(5):
        queues.send(numbered(number))
    received = [[delivery.body for delivery in queues.receive("resolve", 3)] for _ in range(3)]
    expected = [numbered(number).model_dump_json() for number in range(5)]
    assert received == [expected[:3], expected[3:], []]


def test_a_send_wakes_a_waiting_receiver(live: MemoryQueues) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(live.receive, "resolve", 10, 60)
        live.send(MESSAGE)
        assert only(waiting.result(20)).receive_count == 1


def test_a_waiting_receiver_gets_a_delayed_message_after_its_delay(live: MemoryQueues) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(live.receive, "resolve", 10, 60)
        live.send(numbered(1), delay=900)
        live.send(numbered(2), delay=0.05)
        assert only(waiting.result(20)).body == numbered(2).model_dump_json()


def test_a_release_wakes_a_waiting_receiver(live: MemoryQueues) -> None:
    live.send(MESSAGE)
    delivery = only(live.receive("resolve"))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(live.receive, "resolve", 10, 60)
        live.release(delivery)
        assert only(waiting.result(20)).receive_count == 2


def test_closing_wakes_all_receivers_and_refuses_new_messages(live: MemoryQueues) -> None:
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(live.receive, "resolve", 10, 60) for _ in range(3)]
        live.close()
        assert [wait.result(20) for wait in waiting] == [[], [], []]
    with pytest.raises(Throttled):
        live.send(MESSAGE)
    assert live.receive("resolve", 10, 60) == []


def test_many_concurrent_senders_and_receivers_lose_and_duplicate_no_message(live: MemoryQueues) -> None:
    def send(sender: int) -> None:
        for number in range(100):
            live.send(numbered(sender * 100 + number))

    def receive(_: int) -> list[str]:
        bodies: list[str] = []
        while deliveries := live.receive("resolve", 3, 0.5):
            for delivery in deliveries:
                bodies.append(delivery.body)
                live.delete(delivery)
        return bodies

    with ThreadPoolExecutor(8) as threads:
        sending = [threads.submit(send, sender) for sender in range(4)]
        received = [body for bodies in threads.map(receive, range(4)) for body in bodies]
        for sent in sending:
            sent.result()
    received += [delivery.body for delivery in live.receive("resolve", 400)]
    assert sorted(received) == sorted(numbered(number).model_dump_json() for number in range(400))
    assert len(received) == 400
