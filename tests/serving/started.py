"""Processes found by their command line and environment. A process that inherits the environment is found, too."""

import os
from contextlib import suppress
from pathlib import Path


def started_with(*words: str) -> dict[int, str]:
    """Return command lines by number of every process that has all of these words in its command line and environment."""
    markers, commands = [os.fsencode(word) for word in words], {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            command = (entry / "cmdline").read_bytes()
            process_text = command + b"\0" + (entry / "environ").read_bytes()
            if all(word in process_text for word in markers):
                commands[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:200]
    return commands
