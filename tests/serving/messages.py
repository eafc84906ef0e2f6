"""What a message for people looks like."""

import re

INNARDS = ("Traceback", "<class", "object at 0x", "None", "Error:", "errno")


def check_readable(message: str) -> None:
    """A sentence or two that a person can act on, and nothing of the program's inside."""
    assert message.strip(), "an empty message"
    assert len(message) < 1000, message
    assert not [word for word in INNARDS if word in message], message
    assert re.search(r"[.!]\s*$", message), message
    assert message.replace("\n", "").isprintable(), message
