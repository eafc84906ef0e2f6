"""What all queues share: a message's body, and the limits of the strictest queue (SQS), so that what works here works on AWS.

Everything refused here raises ValueError: it is a mistake in the program, and nothing was sent.
"""

from bindery.domain.messages import Message

MAX_BODY = 1024 * 1024
MAX_DELAY = 900


def body_of(message: Message) -> str:
    """The message as JSON in ASCII: some characters that a build's log may hold are not let through by SQS as they are."""
    body = message.model_dump_json(ensure_ascii=True)
    if len(body) > MAX_BODY:
        raise ValueError(f"a message has at most {MAX_BODY} bytes")
    return body


def check_delay(delay: float) -> None:
    """Refuses delays that are not 0 to 900 seconds."""
    if not 0 <= delay <= MAX_DELAY:
        raise ValueError(f"delay is 0 to {MAX_DELAY} seconds")
