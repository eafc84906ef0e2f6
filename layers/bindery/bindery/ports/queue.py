"""The queue port."""

from typing import Protocol

from bindery.domain.messages import Message


class Queue(Protocol):
    """Carries messages to the function that handles their `queue`.

    send: the message will arrive at least once, no sooner than `delay` seconds (at most 900) from now, in any order;
    or, in memory, is lost with the process. A queue that does not take it raises Throttled.
    """

    def send(self, message: Message, delay: float = 0) -> None: ...
