"""Queues in memory for the local runtime. They behave as SQS does towards Lambda. Reconcile restores messages lost in a crash."""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from bindery.adapters.queue_limits import body_of, check_delay
from bindery.domain.errors import Throttled
from bindery.domain.messages import Message


@dataclass(frozen=True)
class Delivery:
    """Delivery of a message.

    receive_count: 1 at the first delivery. sent_at: UTC seconds. receipt: identifies this delivery among those of the message.
    """

    id: str
    queue: str
    body: str
    receive_count: int
    sent_at: float
    receipt: int


@dataclass
class _Stored:
    """Stored message. receipt: of its latest delivery, or 0. An entry in the heap is valid only while it has the same receipt."""

    id: str
    body: str
    sent_at: float
    receive_count: int = 0
    receipt: int = 0


@dataclass
class _Queue:
    """State of one queue.

    arrivals: a heap of (time at which it becomes visible, receipt, id). waiting: the condition that receivers wait on.
    """

    waiting: threading.Condition
    visibility_seconds: float
    max_receive_count: int
    dead_letter: str | None
    stored: dict[str, _Stored] = field(default_factory=dict)
    arrivals: list[tuple[float, int, str]] = field(default_factory=list)


class MemoryQueues:
    """Queue port and the runtime's receiving side. Safe for many threads.

    `configure` makes a queue or changes its settings; every other call raises KeyError for a queue that was not made. A delivery
    that is neither deleted nor released comes back after its queue's visibility timeout. After max_receive_count receives it goes
    to the dead-letter queue (None: it comes back without limit) and counts from 1 again there. Deleting or releasing by an outdated
    delivery has no effect: the newest delivery decides. elapsed: seconds of a monotonic clock. now: UTC seconds. Waiting itself
    takes real time.
    """

    def __init__(self, elapsed: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time) -> None:
        self._elapsed = elapsed
        self._now = now
        self._lock = threading.RLock()
        self._queues: dict[str, _Queue] = {}
        self._order = count(1)
        self._closed = False

    def configure(self, queue: str, visibility_seconds: float, max_receive_count: int, dead_letter: str | None) -> None:
        """Make a queue or change its settings. The settings apply to later receives."""
        with self._lock:
            state = self._queues.get(queue)
            if state is None:
                waiting = threading.Condition(self._lock)
                self._queues[queue] = _Queue(waiting, visibility_seconds, max_receive_count, dead_letter)
            else:
                state.visibility_seconds, state.max_receive_count = visibility_seconds, max_receive_count
                state.dead_letter = dead_letter

    def send(self, message: Message, delay: float = 0) -> None:
        self.send_all([message], delay)

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None:
        check_delay(delay)
        bodies = [body_of(message) for message in messages]
        with self._lock:
            if self._closed:
                raise Throttled
            for message, body in zip(messages, bodies, strict=True):
                stored = _Stored(f"{next(self._order):032x}", body, self._now())
                self._add(self._queues[message.queue], stored, delay)

    def receive(self, queue: str, max_messages: int = 10, wait_seconds: float = 0) -> list[Delivery]:
        """Return deliveries as soon as there is at least one. Return none after `wait_seconds`, or at once when closed."""
        with self._lock:
            source = self._queues[queue]
            until = self._elapsed() + wait_seconds
            while not self._closed:
                taken = self._take(queue, source, max_messages)
                now = self._elapsed()
                if taken or now >= until:
                    return taken
                wake = min(until, source.arrivals[0][0]) if source.arrivals else until
                source.waiting.wait(max(0.0, wake - now))
            return []

    def delete(self, delivery: Delivery) -> None:
        """Delete the message."""
        with self._lock:
            source = self._queues[delivery.queue]
            if self._current(source, delivery.id, delivery.receipt):
                del source.stored[delivery.id]

    def release(self, delivery: Delivery, delay: float = 0) -> None:
        """Make the message visible again after `delay` seconds."""
        with self._lock:
            source = self._queues[delivery.queue]
            if self._current(source, delivery.id, delivery.receipt):
                self._add(source, source.stored[delivery.id], delay)

    def depth(self, queue: str) -> int:
        """Return the number of messages that are not deleted: waiting, delayed and in flight."""
        with self._lock:
            return len(self._queues[queue].stored)

    def close(self) -> None:
        """Make all receivers return without a message, and refuse new messages (Throttled)."""
        with self._lock:
            self._closed = True
            for queue in self._queues.values():
                queue.waiting.notify_all()

    def _take(self, name: str, source: _Queue, max_messages: int) -> list[Delivery]:
        now = self._elapsed()
        taken: list[Delivery] = []
        while source.arrivals and len(taken) < max_messages:
            at, receipt, id_ = source.arrivals[0]
            if self._current(source, id_, receipt):
                if at > now:
                    break
                heapq.heappop(source.arrivals)
                taken += self._deliver(name, source, source.stored[id_])
            else:  # deleted or released since
                heapq.heappop(source.arrivals)
        return taken

    def _deliver(self, name: str, source: _Queue, stored: _Stored) -> list[Delivery]:
        if source.dead_letter is not None and stored.receive_count >= source.max_receive_count:
            target = self._queues[source.dead_letter]
            del source.stored[stored.id]
            self._add(target, _Stored(stored.id, stored.body, stored.sent_at), 0)
            return []
        stored.receive_count += 1
        self._add(source, stored, source.visibility_seconds)
        return [Delivery(stored.id, name, stored.body, stored.receive_count, stored.sent_at, stored.receipt)]

    def _add(self, queue: _Queue, stored: _Stored, delay: float) -> None:
        """Schedule the message to become visible in `delay` seconds. An earlier schedule is void."""
        stored.receipt = next(self._order)
        queue.stored[stored.id] = stored
        heapq.heappush(queue.arrivals, (self._elapsed() + delay, stored.receipt, stored.id))
        queue.waiting.notify_all()

    @staticmethod
    def _current(queue: _Queue, id_: str, receipt: int) -> bool:
        stored = queue.stored.get(id_)
        return stored is not None and stored.receipt == receipt
