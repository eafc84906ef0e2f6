"""Workers of the local runtime: threads that pass messages from the queues to the functions, and timers that call functions."""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Sequence

from bindery.domain.errors import BinderyError
from bindery_local.aws_events import Context, Event, from_build_service, from_log, from_queue
from bindery_local.memory_queue import Delivery, MemoryQueues
from bindery_local.template import Function, System, Timer

logger = logging.getLogger("bindery")
LISTEN_SECONDS = 20  # closing the queues wakes the receivers
AT_ONCE = {"sessions": 12, "resolve": 16, "stops": 8, "logs": 1}
UNDELIVERED = "undelivered events"
MOST_RECEIVES = 5
"""Receives of one message. The template allows more, as Lambda counts receives that no function accepts; here each is an attempt."""
# Seconds before each retry of a failed message. Later retries wait for the queue's visibility timeout.
SOONER = (2, 8, 30)
TRIED_AGAIN_AFTER = 60  # events are best effort; reconcile handles the rest
SHAPES: dict[str, Callable[[Delivery], Event]] = {"events": from_build_service, "logs": from_log}


class Workers:
    """Threads for the queues and timers. A failed message is delivered again, as with SQS, but sooner."""

    def __init__(
        self,
        system: System,
        queues: MemoryQueues,
        periods: dict[str, float],
        chores: Sequence[tuple[float, Callable[[], None]]] = (),
    ) -> None:
        self.queues = queues
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []
        for queue in system.queues:
            most = min(queue.max_receive_count, MOST_RECEIVES)
            queues.configure(queue.name, queue.visibility_seconds, most, queue.dead_letter)
        queues.configure(UNDELIVERED, TRIED_AGAIN_AFTER, 1, None)
        for name in SHAPES.keys() & system.consumers.keys():
            queues.configure(name, TRIED_AGAIN_AFTER, 3, UNDELIVERED)
        for name, function in system.consumers.items():
            self.threads += [self._thread(self._consume, name, function) for _ in range(AT_ONCE.get(name, 4))]
        for timer in system.timers:
            self.threads.append(self._thread(self._tick, timer, periods.get(timer.period_variable, timer.seconds)))
        self.threads += [self._thread(self._repeat, seconds, chore) for seconds, chore in chores]

    def _thread(self, target: Callable[..., None], *args: object) -> threading.Thread:
        return threading.Thread(target=target, args=args, daemon=True, name=f"{target.__name__} {args[0]}"[:60])

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """Stop receiving messages and calling timers."""
        self.stopping.set()
        self.queues.close()

    def join(self, seconds: float) -> None:
        """Wait for running calls, at most this long in total."""
        until = time.monotonic() + seconds
        for thread in self.threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _consume(self, name: str, function: Function) -> None:
        shape = SHAPES.get(name, from_queue)
        while not self.stopping.is_set():
            for delivery in self.queues.receive(name, 1, LISTEN_SECONDS):
                if _call(function, shape(delivery)):
                    self.queues.delete(delivery)
                elif delivery.receive_count <= len(SOONER):  # most errors here, such as a locked table, are short
                    self.queues.release(delivery, SOONER[delivery.receive_count - 1])

    def _tick(self, timer: Timer, seconds: float) -> None:
        while not self.stopping.wait(seconds):
            _call(timer.function, {})

    def _repeat(self, seconds: float, chore: Callable[[], None]) -> None:
        while not self.stopping.wait(seconds):
            try:
                chore()
            except BinderyError:
                logger.exception("a chore failed")


def _call(function: Function, event: Event) -> bool:
    """Call the function. Return True if it succeeded; otherwise its own wrapper has logged the error."""
    try:
        importlib.import_module(function.module).handler(event, Context(function.name))
    except Exception:  # noqa: BLE001  # the outermost wrapper: one message must not end its worker
        return False
    return True
