"""The rules for a message to people."""

import re

INNARDS = ("Traceback", "<class", "object at 0x", "None", "Error:", "errno")


def check_readable(message: str) -> None:
    """Check for a sentence or two that a person can act on, without internal details of the program."""
    assert message.strip(), "an empty message"
    assert len(message) < 1000, message
    assert not [word for word in INNARDS if word in message], message
    assert re.search(r"[.!]\s*$", message), message
    assert message.replace("\n", "").isprintable(), message
