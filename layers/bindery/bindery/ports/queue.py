"""The queue port."""

from collections.abc import Sequence
from typing import Protocol

from bindery.domain.messages import Message


class Sender(Protocol):
    """Takes messages one by one, as Queue does: all that a build's log needs."""

    def send(self, message: Message, delay: float = 0) -> None: ...


class Queue(Sender, Protocol):
    """Carries messages to the function that handles their `queue`.

    send: the message will arrive at least once, no sooner than `delay` seconds (at most 900) from now, in any order;
    or, in memory, is lost with the process. A queue that does not take it raises Throttled.
    send_all: sends each message as `send` does, in as few calls as the queue allows. Raises Throttled if some were not taken:
    the others arrive all the same, so a caller sends all of them again.
    """

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None: ...
