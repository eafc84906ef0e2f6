"""A queue that keeps what it was given, in the order it came, for whoever wants to deliver it in any other."""

from collections.abc import Sequence
from dataclasses import dataclass

from bindery.adapters.queue_limits import body_of, check_delay
from bindery.domain.messages import Message


@dataclass(frozen=True)
class Sent:
    """A message as it will arrive, and the delay in seconds that it was sent with."""

    message: Message
    delay: float


class FakeQueue:
    """The queue port. sent: everything sent and not yet popped, oldest first."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, message: Message, delay: float = 0) -> None:
        check_delay(delay)
        # Read back at once: what arrives is only what was serialised.
        self.sent.append(Sent(type(message).model_validate_json(body_of(message)), delay))

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None:
        for message in messages:
            body_of(message)  # refused before any is sent
        for message in messages:
            self.send(message, delay)

    def pop(self, index: int = 0) -> Message:
        """Takes a message out, whatever its delay. Raises IndexError."""
        return self.sent.pop(index).message
