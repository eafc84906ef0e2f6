"""Rules shared by all queues: a message's body, and the limits of the strictest queue (SQS).

Code that works on one machine therefore works on AWS. Each refusal raises ValueError: it is a mistake in the program, and no
message was sent.
"""

from bindery.domain.messages import Message

MAX_BODY = 1024 * 1024
MAX_DELAY = 900


def body_of(message: Message) -> str:
    """Return the message as JSON in ASCII: SQS refuses some characters that a build's log may contain. Raises ValueError."""
    body = message.model_dump_json(ensure_ascii=True)
    if len(body) > MAX_BODY:
        raise ValueError(f"a message has at most {MAX_BODY} bytes")
    return body


def check_delay(delay: float) -> None:
    """Raise ValueError for a delay that is not 0 to 900 seconds."""
    if not 0 <= delay <= MAX_DELAY:
        raise ValueError(f"delay is 0 to {MAX_DELAY} seconds")
