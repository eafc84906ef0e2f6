"""Limits of memory and CPU time that a process gives itself before it reads a stranger's files."""

from contextlib import suppress
from typing import Final

MEMORY_BYTES: Final = 1_000_000_000
CPU_SECONDS: Final = 30
OUT_OF_MEMORY: Final = 3
"""The exit code of a process that met its limit of memory."""


def limit() -> None:
    """Lower this process's own limits; nothing can raise them again. A system without one of the limits is left as it is."""
    import resource

    for kind, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS)):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
