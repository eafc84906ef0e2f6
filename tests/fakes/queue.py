"""A queue that keeps its messages in the order of sending, so that a test can deliver them in another order."""

from collections.abc import Sequence
from dataclasses import dataclass

from bindery.adapters.queue_limits import body_of, check_delay
from bindery.domain.messages import Message, ResolveRequested


@dataclass(frozen=True)
class Sent:
    """A message as the receiver will get it, and its delay in seconds."""

    message: Message
    delay: float


class FakeQueue:
    """The queue port. sent: the messages that were sent and not yet popped, oldest first."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, message: Message, delay: float = 0) -> None:
        check_delay(delay)
        # The message is read back at once, because a receiver gets only the serialised fields.
        self.sent.append(Sent(type(message).model_validate_json(body_of(message)), delay))

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None:
        for message in messages:
            body_of(message)  # A bad message is refused before any message is sent.
        for message in messages:
            self.send(message, delay)

    def pop(self, index: int = 0) -> Message:
        """Remove a message and return it, regardless of its delay. Raise IndexError if there is no such message."""
        return self.sent.pop(index).message


def numbered(number: int) -> ResolveRequested:
    """Return a message that differs from the messages of other numbers."""
    return ResolveRequested(launch=f"launch#{number}", step=number)
