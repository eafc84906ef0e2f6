"""The queue port."""

from collections.abc import Sequence
from typing import Protocol

from bindery.domain.messages import Message


class Sender(Protocol):
    """The part of Queue that a build's log needs: it takes messages one by one."""

    def send(self, message: Message, delay: float = 0) -> None: ...


class Queue(Sender, Protocol):
    """Queue that delivers messages to the function that handles their `queue`.

    send: delivers the message at least once, not before `delay` seconds (at most 900) from now, in any order. A queue in memory
        loses its messages when its process ends. Raises Throttled if the queue does not accept the message.
    send_all: sends each message as `send` does, in as few calls as the queue allows. Raises Throttled if the queue did not accept
        some of them. The others are delivered anyway; the caller must send all of them again.
    """

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None: ...
