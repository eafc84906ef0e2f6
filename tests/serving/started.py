"""Processes by what they were started with: whoever inherits that is found, too."""

import os
from contextlib import suppress
from pathlib import Path


def started_with(*words: str) -> dict[int, str]:
    """Command lines by number of every process that has all of these in its command line and environment."""
    wanted, found = [os.fsencode(word) for word in words], {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            command = (entry / "cmdline").read_bytes()
            told = command + b"\0" + (entry / "environ").read_bytes()
            if all(word in told for word in wanted):
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:200]
    return found
