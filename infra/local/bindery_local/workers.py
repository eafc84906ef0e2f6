"""What moves messages: threads that take them from the queues to the functions, and timers that call theirs."""

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
LISTEN_SECONDS = 20  # whoever closes the queues wakes who listens
AT_ONCE = {"sessions": 12, "resolve": 16, "stops": 8, "logs": 1}
UNDELIVERED = "undelivered events"
MOST_RECEIVES = 5
"""Of one message. The template allows more, since Lambda counts receives that no function could take; here each receive is a try."""
# Seconds after which a message that failed is tried again; from then on, when its queue shows it again.
SOONER = (2, 8, 30)
TRIED_AGAIN_AFTER = 60  # events are best effort; reconcile does the rest
SHAPES: dict[str, Callable[[Delivery], Event]] = {"events": from_build_service, "logs": from_log}


class Workers:
    """Started with the system, stopped with it. A function that raises sees its message again, as with SQS, but sooner."""

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
        """No new message is taken, no timer calls."""
        self.stopping.set()
        self.queues.close()

    def join(self, seconds: float) -> None:
        """Waits for what is still being handled, at most so long altogether."""
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
                elif delivery.receive_count <= len(SOONER):  # most trouble here, such as a locked table, passes soon
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
    """Whether it is done; if not, it raised, and its own wrapper has logged why."""
    try:
        importlib.import_module(function.module).handler(event, Context(function.name))
    except Exception:  # noqa: BLE001  # the outermost wrapper: one message must not end its worker
        return False
    return True
